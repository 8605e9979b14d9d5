import { FST_HUB_INVALID_ARGUMENT } from '../../errors.js'
import { checkOptions } from '../arguments.js'
import { describe } from '../describe.js'
import type { Living } from '../ports.js'
import type { ClusterStats, ClusterStatsOptions, HubStats } from '../types.js'
import { ANSWER_MS, type NodeCalls } from './node-calls.js'

/** 2^31 - 1 ms, about 24 days. */
const MAX_MS = 2_147_483_647

/** Asks all nodes for their figures. @param own those of this node. @throws FST_HUB_INVALID_ARGUMENT (as a rejection) */
export async function survey (calls: NodeCalls, own: () => HubStats, options: ClusterStatsOptions): Promise<ClusterStats> {
  const { timeout = ANSWER_MS } = toOptions(options)
  let others: Living
  try {
    others = await calls.others()
  } catch {
    return clusterStats([own()], true)
  }
  const { answers, complete } = await calls.ask(others.ids, { op: 'stats' }, null, timeout)
  return clusterStats([own(), ...answers.values()], !complete || !others.complete)
}

function toOptions (options: unknown): ClusterStatsOptions {
  const { cluster, timeout } = checkOptions<Record<string, unknown>>(options as Record<string, unknown>, ['cluster', 'timeout'])
  if (cluster !== true) throw new FST_HUB_INVALID_ARGUMENT('cluster', 'true, or no options', describe(cluster))
  if (timeout !== undefined && (!Number.isInteger(timeout) || (timeout as number) < 1 || (timeout as number) > MAX_MS)) {
    throw new FST_HUB_INVALID_ARGUMENT('timeout', `a whole number of milliseconds from 1 to ${MAX_MS}`, describe(timeout))
  }
  return options as ClusterStatsOptions
}

function clusterStats (nodes: HubStats[], partial: boolean): ClusterStats {
  return { partial, nodes, total: { ...sum(nodes) as HubStats, nodeId: 'total' } }
}

/** Of groups of figures, and groups in them. What a node of another version does not have counts nothing. */
function sum (groups: readonly object[]): object {
  const totals = [...new Set(groups.flatMap(Object.keys))].map((key) => {
    const values = groups.map((group) => (group as Record<string, unknown>)[key])
    const inner = values.filter((value) => typeof value === 'object' && value !== null)
    return [key, inner.length > 0 ? sum(inner) : values.reduce<number>((total, value) => typeof value === 'number' ? total + value : total, 0)]
  })
  return Object.fromEntries(totals)
}
