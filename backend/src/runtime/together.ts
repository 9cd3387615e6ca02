/**
 * Resolves with the results when all have ended: nothing of them goes on after it, whatever the others did.
 *
 * @throws what the first of them has thrown, in the order in which they are given.
 */
export async function together<const T extends readonly unknown[]>(
  work: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(work)
  return Promise.all(work)
}
