/** A path as Fastify has it, as a channel of AsyncAPI has it: `/rooms/:room` is `/rooms/{room}`. */
export interface Address {
  readonly address: string
  readonly parameters: Readonly<Record<string, { readonly description: string }>>
}

/** A parameter, its pattern up to one level of groups, and whether it may be left out; a wildcard; a colon that is none (`::`). */
const PARTS = /::|:([^/:().?-]+)(\((?:[^()\\]|\\.|\((?:[^()\\]|\\.)*\))*\))?\??|\*/g

export function addressOf (path: string): Address {
  const parameters: Record<string, { description: string }> = {}
  const address = path.replace(PARTS, (part, name: string | undefined, pattern: string | undefined) => {
    if (part === '::') return ':'
    // What AsyncAPI allows as the name of a parameter.
    const key = name?.replace(/[^\w-]/g, '_') ?? 'rest'
    parameters[key] = { description: name === undefined ? 'Anything.' : pattern === undefined ? 'A part of the path.' : `Matches ${pattern.slice(1, -1)}.` }
    return `{${key}}`
  })
  return { address, parameters }
}
