// What the measurements share: servers and clients in processes of their own, raw clients that only count, and a network
// namespace of one's own for those that need small kernel buffers or a network that can be cut.
import { execFileSync, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'

export const HANDSHAKE = [
  'GET /ws HTTP/1.1', 'Host: 127.0.0.1', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==', '', ''
].join('\r\n')

/** A child process that answers each question with one message. */
export function child (file, args, options = {}) {
  const process = fork(file, args, options)
  const ask = async (question) => {
    if (question !== undefined) process.send(question)
    const ended = new AbortController()
    const [answer] = await Promise.race([
      once(process, 'message', { signal: ended.signal }),
      once(process, 'exit', { signal: ended.signal }).then(([code]) => { throw new Error(`a child process ended with ${code}`) })
    ]).finally(() => { ended.abort() })
    return answer
  }
  const end = async () => {
    if (!process.connected) return
    const gone = once(process, 'exit')
    process.disconnect()
    await gone
  }
  return { process, ask, end }
}

/** In the child: answers questions by name, `{ name: argument }`. */
export function answer (tasks) {
  process.on('message', async (question) => {
    const [[name, argument]] = Object.entries(question)
    process.send(await tasks[name](argument) ?? {})
  })
  process.on('disconnect', () => { process.exit() })
}

/** Opens a WebSocket by hand. Resolves when the server has agreed. */
export async function open (port) {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('error', () => {})
  socket.write(HANDSHAKE)
  const [response] = await once(socket, 'data')
  if (!response.toString('latin1').startsWith('HTTP/1.1 101')) throw new Error(response.toString('latin1'))
  return { socket, rest: response.subarray(response.indexOf('\r\n\r\n') + 4) }
}

export function median (numbers) {
  return quantile(numbers, 0.5)
}

/** The smallest number that at least this share of them does not exceed. */
export function quantile (numbers, share) {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)]
}

/**
 * Runs a program again in a network namespace of its own, where only the loopback interface is, and is up. Linux, with
 * unshare (util-linux) and ip (iproute2).
 * @returns false in that second run
 */
export async function inOwnNetwork (file) {
  if (process.env.BENCH_OWN_NETWORK === '1') {
    execFileSync('ip', ['link', 'set', 'lo', 'up'])
    return false
  }
  const again = spawn('unshare', ['--map-root-user', '--net', process.execPath, ...process.execArgv, file, ...process.argv.slice(2)], {
    stdio: 'inherit',
    env: { ...process.env, BENCH_OWN_NETWORK: '1' }
  })
  const [code] = await once(again, 'exit')
  process.exitCode = code ?? 1
  return true
}

/** Prints a line with its verdict; one that does not hold makes the program fail. */
export function verdict (holds, text) {
  console.log(`${holds ? 'holds ' : 'FAILS '} ${text}`)
  if (!holds) process.exitCode = 1
}
