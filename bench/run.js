// fastify-hub beside what people would use instead: each workload with each server, interleaved, medians, ratios in one run.
//   npm run bench                       the short workloads, in less than five minutes
//   npm run bench -- --full             all of them; writes bench/results/full.{json,md} and the charts that docs/performance.md shows
//   npm run bench -- --only echo,accept --servers hub,ws --repetitions 5 --seconds 3
import { parseArgs } from 'node:util'
import { measure, nameOf } from './measure.js'
import { median } from './lib.js'
import { report } from './report.js'
import { WORKLOADS } from './workloads.js'

const { values } = parseArgs({
  options: {
    full: { type: 'boolean', default: false },
    only: { type: 'string' },
    servers: { type: 'string' },
    repetitions: { type: 'string' },
    seconds: { type: 'string' },
    results: { type: 'string' }
  }
})
const only = values.only?.split(',')
const chosen = WORKLOADS.filter(({ id, short }) => only === undefined ? values.full || short : only.includes(id))
const unknown = only?.filter((id) => !WORKLOADS.some((workload) => workload.id === id)) ?? []
if (unknown.length > 0) throw new Error(`--only: one of ${WORKLOADS.map(({ id }) => id).join(', ')}; got ${unknown.join(', ')}`)
const repetitions = Number(values.repetitions ?? 3)
const ms = Number(values.seconds ?? (values.full ? 4 : 1.5)) * 1_000
const SHORT_SERVERS = ['hub', 'ws', 'fastify-websocket', 'uws']
const servers = values.servers?.split(',') ?? (values.full || only !== undefined ? null : SHORT_SERVERS)

const results = []
for (const workload of chosen) {
  const rows = new Map(workload.servers.filter((id) => servers === null || servers.includes(id)).map((id) => [id, []]))
  const missing = {}
  for (let i = 0; i < (workload.once === true ? 1 : repetitions); i++) {
    for (const [id, runs] of rows) {
      try {
        runs.push(await measure(workload, id, { ms, warmUp: ms / 2 }))
      } catch (error) {
        // A peer that cannot be started here is reported, and not guessed.
        missing[id] = error.message.split('\n', 1)[0]
        rows.delete(id)
        if (id === 'hub') throw error
      }
    }
  }
  const servers_ = Object.fromEntries([...rows].map(([id, runs]) => [id, medians(runs)]))
  results.push({ workload, servers: servers_, missing })
  print(results.at(-1))
}
await report(results, { full: values.full, repetitions, ms, file: values.results ?? (values.full ? 'full' : 'short') })

function medians (runs) {
  return Object.fromEntries(Object.keys(runs[0]).map((key) => [key, median(runs.map((run) => run[key]))]))
}

function print ({ workload, servers: figures, missing }) {
  console.log(`\n${workload.title}`)
  for (const [id, { cpu, p99, each, turn, share, busy }] of Object.entries(figures)) {
    const parts = [cpu !== undefined && `${cpu.toFixed(2)} us of server CPU each`, each !== undefined && `${(each / 1_024).toFixed(2)} KiB each`, p99 !== undefined && `p99 ${p99.toFixed(1)} ms`,
      turn !== undefined && `longest turn ${turn.toFixed(1)} ms`, share !== undefined && `server ${(100 * share).toFixed(0)} %`, busy !== undefined && `load ${(100 * busy).toFixed(0)} % of a core`]
    console.log(`  ${nameOf(id).padEnd(24)} ${parts.filter(Boolean).join(', ')}`)
  }
  for (const [id, why] of Object.entries(missing)) console.log(`  ${nameOf(id).padEnd(24)} not measured: ${why}`)
}
