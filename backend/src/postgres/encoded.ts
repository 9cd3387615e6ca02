/**
 * What a statement is given, and the same as its parameter. Encoding needs no database, so it is done before a transaction
 * holds locks.
 */
export interface Encoded<T> {
  readonly items: readonly T[]
  readonly json: string
}
