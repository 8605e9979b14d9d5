// Copies what tsc does not: the static files of the examples, next to the compiled examples.
import { cpSync, existsSync, readdirSync } from 'node:fs'

const root = new URL('../', import.meta.url)
for (const name of readdirSync(new URL('examples/', root))) {
  const source = new URL(`examples/${name}/public/`, root)
  if (existsSync(source)) cpSync(source, new URL(`build/examples/${name}/public/`, root), { recursive: true })
}
