import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

/** A Lua script (EVAL): one step of Redis, which nothing comes between. Its keys are in one partition. */
export class Script {
  readonly source: string
  /** As SCRIPT LOAD would answer: the SHA-1 of the source. */
  readonly sha: string

  /** @param names of files in lua/, without their ending: one after the other, so that the last may use the functions of those before */
  constructor (...names: readonly string[]) {
    this.source = names.map((name) => readFileSync(new URL(`lua/${name}.lua`, import.meta.url), 'utf8')).join('\n')
    this.sha = createHash('sha1').update(this.source).digest('hex')
  }
}
