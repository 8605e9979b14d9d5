import type { FastifyInstance } from 'fastify'
import findMyWay from 'find-my-way'

/** Answers whether a URL belongs to one of some route patterns, as Fastify's own router would. */
export class PathMatcher {
  readonly #router: findMyWay.Instance<findMyWay.HTTPVersion.V1>

  constructor ({ initialConfig: { routerOptions } }: FastifyInstance) {
    this.#router = findMyWay({
      caseSensitive: routerOptions?.caseSensitive ?? true,
      ignoreTrailingSlash: routerOptions?.ignoreTrailingSlash ?? false,
      ignoreDuplicateSlashes: routerOptions?.ignoreDuplicateSlashes ?? false,
      maxParamLength: routerOptions?.maxParamLength ?? 100
    })
  }

  add (pattern: string): void {
    // The same path under two constraints (host, version) is one path here.
    if (this.#router.findRoute('GET', pattern) === null) this.#router.on('GET', pattern, () => {})
  }

  matches (url: string): boolean {
    return this.#router.find('GET', url) !== null
  }
}
