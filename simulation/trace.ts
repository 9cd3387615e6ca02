/** Tells what happens in a history: who, and what. */
export type Trace = (who: string, what: string) => void

export const silent: Trace = () => {}
