import type { WireErrorCode } from '../../protocol/hub-v1/errors.js'

/** Why a request of a hub.v1 peer is not done: becomes its `error`. */
export class RequestError extends Error {
  override readonly name = 'RequestError'
  readonly code: WireErrorCode
  readonly room: string | undefined
  /** JSON Pointer (RFC 6901) into the request. */
  readonly path: string | undefined

  constructor (code: WireErrorCode, message: string, about: { readonly room?: string, readonly path?: string } = {}) {
    super(message)
    this.code = code
    this.room = about.room
    this.path = about.path
  }
}
