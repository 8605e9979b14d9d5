// The tables and charts of a run: bench/results/<file>.json, .md, and one chart as SVG. Those of a full run are shown by
// docs/performance.md, too.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { compile } from 'vega-lite'
import * as vega from 'vega'
import { nameOf } from './measure.js'

/** From here on, a process has no time left: its share of one core. */
const SATURATED = 0.9
const OURS = 'hub'
/** It shows the full run. */
const PAGE = new URL('../docs/performance.md', import.meta.url)
const CONTROL = 'ws'

export async function report (results, { full, repetitions, ms, file }) {
  const folder = new URL('results/', import.meta.url)
  mkdirSync(folder, { recursive: true })
  const text = [
    `Node ${process.version}, ${versions()};`,
    `${cpus().length} x ${cpus()[0].model}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release().split('-')[0]};`,
    `medians of ${repetitions} interleaved runs of ${ms / 1_000} s; ${new Date().toISOString().slice(0, 10)}.`,
    '',
    ...results.flatMap(table)
  ].join('\n')
  writeFileSync(new URL(`${file}.md`, folder), text)
  if (full) writeFileSync(PAGE, readFileSync(PAGE, 'utf8').replace(/(<!-- results -->\n)[^]*(<!-- end of results -->)/, (_, begin, end) => `${begin}\n${text}\n${end}`))
  writeFileSync(new URL(`${file}.json`, folder), `${JSON.stringify(results, null, 1)}\n`)
  const bars = results.flatMap(({ workload, servers }) => Object.entries(servers)
    .filter(([, { cpu }]) => cpu !== undefined)
    .map(([id, { cpu }]) => ({ workload: workload.title, server: nameOf(id), cost: cpu })))
  if (bars.length > 0) writeFileSync(new URL(`${file}.svg`, folder), await chart(bars))
  for (const line of verdicts(results)) console.log(line)
}

function versions () {
  const version = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')).version
  const peers = { fastify: '../', '@fastify/websocket': '../', ws: '', 'socket.io': '', '@trufflesuite/uws-js-unofficial': '' }
  const all = Object.entries(peers).map(([name, at]) => `${name} ${version(`${at}node_modules/${name}/package.json`)}`)
  try {
    all.push(execFileSync('go', ['version'], { encoding: 'utf8' }).split(' ')[2])
  } catch {
    // Then there is no row of it either.
  }
  return all.join(', ')
}

/** Figures are absent where they have no meaning for a workload. */
const COLUMNS = [
  ['CPU, us', ({ cpu }) => cpu?.toFixed(2)],
  ['user + system', ({ user, system }) => user === undefined ? undefined : `${user.toFixed(2)} + ${system.toFixed(2)}`],
  ['per second', ({ perSecond }) => perSecond === undefined || perSecond === 0 ? undefined : Math.round(perSecond).toLocaleString('en')],
  ['p50, ms', ({ p50 }) => p50?.toFixed(2)],
  ['p99', ({ p99 }) => p99?.toFixed(2)],
  ['p99.9', ({ p999 }) => p999?.toFixed(2)],
  ['max', ({ max }) => max?.toFixed(1)],
  ['lost', ({ expected, delivered }) => expected === undefined || expected === 0 ? undefined : (expected - delivered).toLocaleString('en')],
  ['disconnected', ({ disconnected }) => disconnected === undefined ? undefined : String(disconnected)],
  ['KiB per connection', ({ each }) => each === undefined ? undefined : (each / 1_024).toFixed(2)],
  ['RSS, MiB', ({ rss }) => (rss / 2 ** 20).toFixed(0)],
  ['longest turn, ms', ({ turn }) => turn?.toFixed(1)],
  ['server, % of a core', ({ share }) => share === undefined ? undefined : (100 * share).toFixed(share < 0.1 ? 2 : 0)]
]

function table ({ workload, servers, missing }) {
  const rows = Object.entries(servers)
  const columns = COLUMNS.filter(([, cell]) => rows.some(([, figures]) => cell(figures) !== undefined))
  const best = Math.min(...rows.filter(([id]) => id !== OURS).map(([, figures]) => cost(figures)))
  const ratios = [['to ws', servers[CONTROL] && cost(servers[CONTROL])], ['to the best peer', best]].filter(([, base]) => Number.isFinite(base) && base > 0)
  const limited = rows.filter(([, { busy = 0, share = 0 }]) => busy > SATURATED && share < SATURATED).map(([id]) => nameOf(id))
  return [
    `### ${workload.title}`,
    '',
    `| | ${[...columns, ...ratios].map(([title]) => title).join(' | ')} |`,
    `| --- |${' ---: |'.repeat(columns.length + ratios.length)}`,
    ...rows.map(([id, figures]) => `| ${nameOf(id)} | ${[...columns.map(([, cell]) => cell(figures) ?? ''), ...ratios.map(([, base]) => `${(cost(figures) / base).toFixed(2)}x`)].join(' | ')} |`),
    '',
    ...Object.entries(missing).map(([id, why]) => `${nameOf(id)} could not be measured here: ${why}`),
    ...limited.length === 0 ? [] : [`The load, not the server, had no time left with: ${limited.join(', ')}. Their deliveries per second and latencies are those of the load.`, '']
  ]
}

/** What ratios are made of: CPU of each delivery, memory of each connection, else the share of a core. */
function cost ({ cpu, each, share }) { return cpu ?? each ?? share }

function verdicts (results) {
  return results.flatMap(({ workload, servers }) => Object.entries(workload.target ?? {}).filter(([id]) => servers[id] !== undefined && servers[OURS] !== undefined).map(([id, target]) => {
    const ratio = cost(servers[OURS]) / cost(servers[id])
    return `${ratio <= target ? 'reached    ' : 'NOT REACHED'} ${workload.title}: ${ratio.toFixed(2)}x of ${nameOf(id)}, the target is ${target}x`
  }))
}

async function chart (values) {
  const { spec } = compile({
    data: { values },
    background: 'white',
    facet: { row: { field: 'workload', title: null, sort: null, header: { labelAngle: 0, labelAnchor: 'start', labelOrient: 'top', labelFontWeight: 'bold' } } },
    resolve: { scale: { x: 'independent', y: 'independent' } },
    spec: {
      width: 640,
      height: { step: 16 },
      mark: 'bar',
      encoding: {
        y: { field: 'server', type: 'nominal', title: null, sort: 'x', axis: { labelLimit: 200 } },
        x: { field: 'cost', type: 'quantitative', title: 'microseconds of server CPU for each delivery, echo or upgrade' },
        color: { condition: { test: `datum.server === '${nameOf(OURS)}'`, value: '#1b7f4d' }, value: '#9aa5b1' }
      }
    }
  })
  return await new vega.View(vega.parse(spec), { renderer: 'none' }).toSVG()
}
