/** The port to listen on, from 0 to 65535; 0 is one that the system chooses. @throws Error with a line for whoever has set PORT */
export function portOf (given: string | undefined): number {
  const text = given || '3000'
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN
  if (!(port <= 65535)) throw new Error(`PORT must be a number from 0 to 65535, got ${JSON.stringify(text)}`)
  return port
}

/** What to say of an error of `listen`. @param command by which the program is started */
export function listenProblem (error: unknown, host: string, port: number, command: string): string {
  const { code, message } = error as NodeJS.ErrnoException
  if (code !== 'EADDRINUSE') return `Cannot listen on ${host}:${port}: ${message}`
  return `Port ${port} on ${host} is in use. Choose another one: PORT=${port === 65535 ? port - 1 : port + 1} ${command}`
}
