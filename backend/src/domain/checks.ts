/**
 * Checks of parsed JSON from outside, put together like a schema.
 *
 * Invariant: a check reads its value and makes nothing. A schema library makes objects for each value that it looks at: for
 * the vector, stamps and claim of one event several times the event's own size.
 */

export type Check = (value: unknown) => boolean

/** An integer that a JSON number holds exactly, from `least` on. */
export const integer =
  (least = Number.MIN_SAFE_INTEGER): Check =>
  (value) =>
    Number.isSafeInteger(value) && (value as number) >= least

/** Text of at most so many UTF-16 code units. */
export const text =
  (maxLength: number, pattern = /(?:)/): Check =>
  (value) =>
    typeof value === 'string' && value.length <= maxLength && pattern.test(value)

/** A list of at least so many. */
export const listOf =
  (item: Check, minLength = 0): Check =>
  (value) =>
    Array.isArray(value) && value.length >= minLength && value.every((each) => item(each))

/** A list of exactly these. */
export const tuple =
  (...items: readonly Check[]): Check =>
  (value) =>
    Array.isArray(value) && value.length === items.length && items.every((item, index) => item(value[index]))

/** An object whose names and values all pass. `__proto__` never does: what is copied member by member would lose it. */
export const recordOf =
  (name: Check, item: Check): Check =>
  (value) => {
    if (!isObject(value)) return false
    for (const key in value) if (key === '__proto__' || !name(key) || !item(value[key])) return false
    return true
  }

/** An object with these members, and any others. */
export const shape = (members: Readonly<Record<string, Check>>): Check => {
  const entries = Object.entries(members)
  return (value) => isObject(value) && entries.every(([name, check]) => check(value[name]))
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
