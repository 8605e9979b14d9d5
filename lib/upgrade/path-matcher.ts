import type { FastifyInstance } from 'fastify'
import findMyWay from 'find-my-way'

/** Not all of them are in the types of Fastify and of its router. */
interface RouterOptions {
  caseSensitive?: boolean
  ignoreTrailingSlash?: boolean
  ignoreDuplicateSlashes?: boolean
  maxParamLength?: number
  allowUnsafeRegex?: boolean
  useSemicolonDelimiter?: boolean
}

/** Answers whether a URL belongs to one of some route patterns, as Fastify's own router would. */
export class PathMatcher {
  readonly #router: findMyWay.Instance<findMyWay.HTTPVersion.V1>

  constructor ({ initialConfig }: FastifyInstance) {
    // Options of the router that are given to Fastify itself are deprecated, but work.
    const options: RouterOptions = initialConfig.routerOptions ?? initialConfig
    const { caseSensitive = true, ignoreTrailingSlash = false, ignoreDuplicateSlashes = false, maxParamLength = 100, allowUnsafeRegex = false, useSemicolonDelimiter = false } = options
    const config = { caseSensitive, ignoreTrailingSlash, ignoreDuplicateSlashes, maxParamLength, allowUnsafeRegex, useSemicolonDelimiter }
    this.#router = findMyWay(config)
  }

  add (pattern: string): void {
    // The same path under two constraints (host, version) is one path here.
    if (this.#router.findRoute('GET', pattern) === null) this.#router.on('GET', pattern, () => {})
  }

  matches (url: string): boolean {
    return this.#router.find('GET', url) !== null
  }
}
