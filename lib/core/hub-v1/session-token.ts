import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

const SEPARATOR = '.'

/** Makes and checks the tokens that name a session: an id, and an HMAC-SHA256 (RFC 2104) of it and the user. */
export class SessionTokens {
  readonly #secret: string | Buffer

  /** @param secret undefined: one of this process */
  constructor (secret: string | undefined) {
    this.#secret = secret ?? randomBytes(32)
  }

  sign (id: string, user: string | null): string { return id + SEPARATOR + this.#mac(id, user).toString('base64url') }

  /** @returns the id; null when the token is not one that `sign` has made for this user */
  verify (token: string, user: string | null): string | null {
    const at = token.lastIndexOf(SEPARATOR)
    const id = token.slice(0, Math.max(at, 0))
    const given = Buffer.from(token.slice(at + 1), 'base64url')
    const own = this.#mac(id, user)
    return given.length === own.length && timingSafeEqual(given, own) ? id : null
  }

  #mac (id: string, user: string | null): Buffer {
    // JSON, for a user may be called anything, null included.
    return createHmac('sha256', this.#secret).update(JSON.stringify([id, user])).digest()
  }
}
