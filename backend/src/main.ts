/** Entry of the region server: configuration, logger, start, and an orderly stop on SIGTERM and SIGINT. */

import closeWithGrace from 'close-with-grace'
import { pino } from 'pino'
import { startApp } from './app.ts'
import { readConfig, type Config } from './config.ts'
import { LogOutput } from './runtime/log-output.ts'

/** Longest orderly stop, ms; longer than a drain, shorter than a container's grace. */
const stopTimeoutMs = 9500

/** Log text that waits for a reader which is too slow, in bytes; what comes beyond is lost. */
const logWaitingMax = 4_000_000
/** So long an orderly stop waits for the reader of the log, ms. */
const logDrainMaxMs = 500

function configOrExit(): Config {
  try {
    return readConfig(process.env)
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    return process.exit(78) // EX_CONFIG of sysexits(3)
  }
}

const config = configOrExit()
const destination = pino.destination({ sync: false, maxLength: logWaitingMax })
const output = new LogOutput(destination, (characters) => {
  log.warn({ characters }, 'log lines were lost, nobody read them in time')
})
process.on('exit', () => output.flushAtExit())
const log = pino({ level: config.LOG_LEVEL, base: { region: config.REGION } }, output)
const app = await startApp(config, log)

closeWithGrace({ delay: stopTimeoutMs, logger: false }, async ({ signal, err }) => {
  if (err) log.fatal({ err }, 'stopping after an unexpected error')
  else log.info({ signal }, 'stopping')
  await app.stop()
  log.info('stopped')
  await output.drained(logDrainMaxMs)
})
