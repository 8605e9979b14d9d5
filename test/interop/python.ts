import { spawnSync } from 'node:child_process'

/** Debian's: its websockets is a package of the system. */
const PYTHON = '/usr/bin/python3'

/** @throws when it is not there, and says how to install it */
export function pythonWithWebsockets (): string {
  const { status } = spawnSync(PYTHON, ['-c', 'import websockets'])
  if (status !== 0) throw new Error(`${PYTHON} has no websockets. Install it with: apt-get install python3-websockets`)
  return PYTHON
}
