// What is measured: how the connections are opened, how they are loaded, and what we want to reach.

const PEERS = ['hub', 'ws', 'fastify-websocket', 'socket.io', 'uws', 'go']
const NODE_AND_CPP = ['hub', 'ws', 'uws']
const SMALL = { kind: 'b', sizes: [64] }

/**
 * `short`: part of the short run, too. `once`: it takes so long that it is not repeated. `open`, `run`: the tasks of load/main.js. `target`: the largest ratio of the hub's server CPU
 * for each delivery to that of others; other targets are said in `aim` and judged by docs/performance.md's readers.
 */
export const WORKLOADS = [
  {
    id: 'one-in-flight',
    title: '1 publication in flight, 1,000 receivers, 64 B',
    short: true,
    servers: PEERS,
    open: { count: 1_000 },
    run: { way: 'inFlight', inFlight: 1, message: SMALL },
    target: { uws: 1.15, ws: 0.85 }
  },
  {
    id: 'sixteen-in-flight',
    title: '16 publications in flight, 1,000 receivers, 64 B',
    short: true,
    servers: PEERS,
    open: { count: 1_000 },
    run: { way: 'inFlight', inFlight: 16, message: SMALL },
    target: { uws: 1.15, ws: 0.08, go: 0.1 }
  },
  {
    id: 'open-loop',
    title: '500 publications/s in bursts of 5, 1,000 receivers, 64 B',
    servers: PEERS,
    open: { count: 1_000 },
    run: { way: 'open', perSecond: 500, burst: 5, message: SMALL },
    aim: 'all delivered, nobody disconnected, p99 no worse than that of uWebSockets'
  },
  {
    id: 'rooms-1',
    title: '100 rooms of 100, one publication to each per turn, 64 B',
    short: true,
    servers: PEERS,
    open: { count: 10_000, rooms: true },
    run: { way: 'rooms', perRoom: 1, message: { kind: 'r', sizes: [64] } },
    target: { ws: 0.85 }
  },
  {
    id: 'rooms-4',
    title: '100 rooms of 100, four publications to each per turn, 64 B',
    short: true,
    servers: PEERS,
    open: { count: 10_000, rooms: true },
    run: { way: 'rooms', perRoom: 4, message: { kind: 'r', sizes: [64] } },
    target: { ws: 0.35 }
  },
  {
    id: 'mixed',
    title: '64 B, 1 KiB and 64 KiB in turn, 4 in flight, 200 receivers',
    servers: PEERS,
    open: { count: 200 },
    run: { way: 'inFlight', inFlight: 4, message: { kind: 'b', sizes: [64, 1_024, 65_536] } }
  },
  {
    id: 'json',
    title: 'an object of 0.6 KiB of JSON, 4 in flight, 1,000 receivers',
    servers: PEERS,
    open: { count: 1_000, json: true },
    run: { way: 'inFlight', inFlight: 4, message: { kind: 'j', sizes: [11] } }
  },
  {
    id: 'deflate',
    title: 'permessage-deflate: 4 KiB of text, 1 in flight, 1,000 receivers',
    servers: PEERS,
    flags: ['--deflate'],
    open: { count: 1_000, deflate: true },
    run: { way: 'inFlight', inFlight: 1, message: { kind: 'b', sizes: [4_096] } },
    target: { ws: 0.05 }
  },
  {
    id: 'echo',
    title: 'echo of 64 B, 100 connections, each one in flight',
    short: true,
    servers: PEERS,
    open: { count: 100 },
    run: { way: 'echo', message: { kind: 'e', sizes: [64] } },
    target: { ws: 1.05 }
  },
  {
    id: 'accept',
    title: 'connect storm: 5,000 upgrades, 100 at once',
    short: true,
    servers: PEERS,
    storm: 5_000,
    target: { 'fastify-websocket': 1.15 }
  },
  {
    id: 'idle',
    title: '19,000 idle connections',
    servers: PEERS,
    idle: 19_000,
    target: { ws: 1 }
  },
  {
    id: 'many',
    title: '1 publication in flight, 19,000 receivers, 64 B',
    servers: NODE_AND_CPP,
    open: { count: 19_000 },
    run: { way: 'inFlight', inFlight: 1, message: SMALL },
    watch: true
  },
  {
    id: 'heartbeat',
    title: '19,000 silent connections, heartbeat of 30 s',
    servers: ['hub', 'ws'],
    flags: ['--heartbeat'],
    open: { count: 19_000 },
    run: { way: 'silence' },
    // Before that the heartbeat is not in its rhythm, and V8 tidies up once after so many upgrades. Then a round for the longest turn,
    // and one for the cost.
    settle: 32_000,
    ms: 30_000,
    once: true,
    aim: 'less than 1 % of a core, no turn longer than 10 ms'
  },
  {
    id: 'all-read',
    title: '200 publications/s of 1 KiB to 1,000 receivers',
    servers: PEERS,
    open: { count: 1_000 },
    run: { way: 'open', perSecond: 200, burst: 1, message: { kind: 'b', sizes: [1_024] } }
  },
  {
    id: 'slow-readers',
    title: 'the same, and 100 of the receivers never read',
    servers: PEERS,
    open: { count: 1_000, nonReaders: 100 },
    run: { way: 'open', perSecond: 200, burst: 1, message: { kind: 'b', sizes: [1_024] } },
    aim: 'p99 of the others at most 1.2 times that of the line above'
  }
]
