/** Prefix of the WAL messages that the relay publishes; others in the same WAL are not ours. */
export const messagePrefix = 'property-updates'
