/** Decides where an applier continues, and whether events may be missing before that. Pure. */

export interface PartitionRange {
  readonly earliest: bigint
  /** The offset that the next record will get. */
  readonly latest: bigint
}

/**
 * Continues each partition from its stored offset if the broker still has it, else from the earliest record.
 * `gap` says why events may be missing; undefined if none are.
 */
export function findGaps(
  ranges: readonly PartitionRange[],
  stored: ReadonlyMap<number, bigint>,
  topicReplaced: boolean,
): { positions: Map<number, bigint>; gap: string | undefined } {
  const positions = new Map<number, bigint>()
  let gap = topicReplaced ? 'the topic was deleted and made again' : undefined
  for (const [partition, { earliest, latest }] of ranges.entries()) {
    const offset = stored.get(partition) ?? 0n
    if (offset >= earliest && offset <= latest) {
      positions.set(partition, offset)
      continue
    }
    positions.set(partition, earliest)
    gap ??=
      offset < earliest
        ? `records ${offset} to ${earliest - 1n} of partition ${partition} have expired`
        : `partition ${partition} ends at ${latest}, before the stored offset ${offset}`
  }
  return { positions, gap }
}
