/** A part of the system: one real server that runs as a child process and can be made to fail. */
export interface Part {
  readonly name: string
  readonly port: number
  readonly pid: number | undefined
  readonly logFile: string
  /** Resolves when the part serves; rejects with the tail of its log when it does not in time. */
  start(): Promise<void>
  /** Stops it in order; after `timeoutMs` (each part has its default) it is killed. */
  stop(timeoutMs?: number): Promise<void>
  /** SIGKILL of all its processes; resolves when they are gone. */
  kill(): Promise<void>
  /** SIGSTOP of all its processes: alive for the system, silent for everybody else. */
  pause(): void
  resume(): void
  /** Resolves with the reason when the running process ends, however that comes about. */
  whenExited(): Promise<string>
}
