/** One line for a log: the distinct causes at the leaves of nested errors, which some clients wrap many times. */
export function describeError(error: unknown): string {
  return [...new Set(leaves(error))].slice(0, 3).join('; ')
}

function leaves(error: unknown): string[] {
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.flatMap(leaves)
  if (!(error instanceof Error)) return [String(error)]
  const code = 'code' in error ? ` (${String(error.code)})` : ''
  return [`${error.message}${code}`]
}
