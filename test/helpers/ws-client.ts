import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { WebSocket, type ClientOptions } from 'ws'

export interface Received { data: Buffer, isBinary: boolean, text: string }

/** A client as applications use one: of ws, with the messages in a line. */
export class WsClient {
  readonly ws: WebSocket
  readonly closed: Promise<{ code: number, reason: string }>
  readonly #messages: Received[] = []
  #wake: (() => void) | null = null

  constructor (ws: WebSocket) {
    this.ws = ws
    ws.on('message', (data: Buffer, isBinary) => {
      this.#messages.push({ data, isBinary, text: data.toString() })
      this.#wake?.()
    })
    ws.on('error', () => {})
    this.closed = new Promise((resolve) => {
      ws.on('close', (code, reason) => {
        resolve({ code, reason: reason.toString() })
        this.#wake?.()
      })
    })
  }

  /** Messages that came and have not been asked for. */
  get waiting (): number { return this.#messages.length }

  async next (): Promise<Received> {
    for (;;) {
      const message = this.#messages.shift()
      if (message !== undefined) return message
      if (this.ws.readyState === WebSocket.CLOSED) throw new Error('closed before a message came')
      await new Promise<void>((resolve) => { this.#wake = resolve })
    }
  }

  async text (): Promise<string> { return (await this.next()).text }

  async texts (count: number): Promise<string[]> {
    const texts: string[] = []
    while (texts.length < count) texts.push(await this.text())
    return texts
  }

  send (data: string | Buffer): void { this.ws.send(data) }
}

/** Opens a WebSocket; ended with the test. Rejects with ws's error when it is refused. */
export async function connectWs (t: Test, url: string, protocols: string[] = [], options: ClientOptions = {}): Promise<WsClient> {
  const ws = new WebSocket(url, protocols, { perMessageDeflate: false, ...options })
  t.teardown(() => { ws.terminate() })
  const opened = new Promise<void>((resolve, reject) => {
    ws.once('open', resolve)
    ws.once('error', reject)
  })
  const client = new WsClient(ws)
  await opened
  return client
}

/** Listens on 127.0.0.1 until the test is over. @returns `host:port` */
export async function listen (t: Test, app: FastifyInstance): Promise<string> {
  t.teardown(async () => { await app.close() })
  await app.listen({ host: '127.0.0.1', port: 0 })
  return `127.0.0.1:${(app.server.address() as AddressInfo).port}`
}
