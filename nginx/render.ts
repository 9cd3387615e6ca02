/**
 * Fills in nginx.conf.template for the local run and the tests, and writes the regions' part for both runs.
 *
 * Invariant: the policy — who is asked first, who stands in, how often — is written once, in `renderRegions`. Compose
 * includes its output as the committed file regions.conf (a test compares the two), the local run has it inlined.
 *
 * A further region in compose: `node nginx/render.ts us=backends-us:3000 eu=backends-eu:3000 ap=… > regions.new`, with
 * Node 24, and then the file's content into nginx/regions.conf.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface RegionOptions {
  /** Region → `host:port` of its own backends, in the order in which regions stand in for one another. */
  upstreams: Record<string, string[]>
  /** DNS server, e.g. `127.0.0.11`: names are then looked up while NGINX runs (needs NGINX 1.27.3). */
  resolver?: string
}

export interface NginxOptions extends RegionOptions {
  /** `port` or `address:port`. */
  listen: string
  pidFile: string
  /** An existing folder; NGINX makes its (never used) temporary folders in it. */
  tempDir: string
  /** A file, or /dev/stdout where that is a file, pipe or terminal (not the socket of Node's `stdio: 'pipe'`). */
  accessLog: string
  /** As accessLog; by default standard error. */
  errorLog?: string
}

/** Connections kept open to each upstream by each worker; without them a quarter of the throughput. */
const upstreamKeepalive = 64
/** Far below the 75 s after which a backend closes an idle connection, so that NGINX never picks one that is being closed. */
const upstreamKeepaliveTimeout = '4s'

/** The configuration for `nginx -c FILE -g 'daemon off;'`. */
export function renderNginxConfig(options: NginxOptions): string {
  const values: Record<string, string> = {
    MERIDIAN_LISTEN: options.listen,
    MERIDIAN_REGIONS: renderRegions(options).trimEnd().replaceAll('\n', '\n    '),
    MERIDIAN_PID_FILE: quotable(options.pidFile),
    MERIDIAN_TEMP_DIR: quotable(options.tempDir),
    MERIDIAN_ACCESS_LOG: quotable(options.accessLog),
    MERIDIAN_ERROR_LOG: quotable(options.errorLog ?? 'stderr'),
  }
  const template = readFileSync(join(import.meta.dirname, 'nginx.conf.template'), 'utf8')
  return template.replace(/\$\{(MERIDIAN_\w+)\}/g, (_, name: string) => {
    const value = values[name]
    if (value === undefined) throw new Error(`nginx.conf.template uses an unknown variable: ${name}`)
    return value
  })
}

/** The part that depends on the regions: prefixes, upstreams and the number of tries. */
export function renderRegions({ upstreams, resolver }: RegionOptions): string {
  const regions = Object.keys(upstreams)
  const invalid = regions.find((region) => !/^[a-z][a-z0-9-]{0,19}$/.test(region))
  if (invalid !== undefined) throw new Error(`not a region name: ${JSON.stringify(invalid)}`)
  const resolve = resolver === undefined ? '' : ' resolve'
  // Every backend of the region itself (a name that is looked up may stand for two), then elsewhere until one is reached of
  // the last region that is well.
  const ownMax = Math.max(
    resolver === undefined ? 1 : 2,
    ...Object.values(upstreams).map((own) => own.length),
  )
  const blocks = regions.map((region) => {
    const own = (upstreams[region] ?? []).map(
      (address) => `    server ${address} max_fails=2 fail_timeout=2s${resolve};\n`,
    )
    const others = regions
      .filter((other) => other !== region)
      .flatMap((other) => upstreams[other] ?? [])
      .map((address) => `    server ${address} backup max_fails=0${resolve};\n`)
    return (
      `\nupstream ${region} {\n    zone ${region} 128k;\n${own.join('')}${others.join('')}` +
      `    keepalive ${upstreamKeepalive};\n    keepalive_timeout ${upstreamKeepaliveTimeout};\n` +
      `    keepalive_requests 100000;\n}\n`
    )
  })
  return [
    `# The region is read from the path as it was typed, which is what the backend gets to see.\n`,
    `map $request_uri $region {\n    default "";\n`,
    ...regions.map((region) => `    "~^/${region}([/?]|$)" ${region};\n`),
    `}\nmap $host $region_names {\n    default '${regions.map((region) => `"${region}"`).join(',')}';\n}\n`,
    resolver === undefined ? '' : `resolver ${resolver} valid=2s ipv6=off;\n`,
    `proxy_next_upstream_tries ${ownMax * Math.max(1, regions.length - 1) + 1};\n`,
    ...blocks,
  ].join('')
}

function quotable(path: string): string {
  if (/["$\\\n]/.test(path)) throw new Error(`NGINX cannot use this path: ${JSON.stringify(path)}`)
  return path
}

if (import.meta.main) {
  const upstreams: Record<string, string[]> = {}
  for (const argument of process.argv.slice(2)) {
    const [region, addresses] = argument.split('=')
    if (!region || !addresses) throw new Error('usage: node nginx/render.ts REGION=HOST:PORT[,HOST:PORT] …')
    upstreams[region] = addresses.split(',')
  }
  process.stdout.write(renderRegions({ upstreams, resolver: '127.0.0.11' }))
}
