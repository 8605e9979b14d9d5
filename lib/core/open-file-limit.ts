import { readFileSync } from 'node:fs'

/** Files, pipes and listening sockets that a process needs beside its connections. */
const RESERVED = 1024

/** The soft limit of open files of this process; Infinity where there is none. */
export function openFileLimit (read: () => string = () => readFileSync('/proc/self/limits', 'utf8')): number {
  let value: string | undefined
  try {
    value = /^Max open files\s+(\S+)/m.exec(read())?.[1]
  } catch {
    // Not Linux: the diagnostic report asks the system.
    const report = process.report.getReport() as { userLimits?: { open_files?: { soft?: number | string } } }
    value = String(report.userLimits?.open_files?.soft ?? 'unlimited')
  }
  const limit = Number(value)
  return Number.isInteger(limit) ? limit : Infinity
}

/** How many connections fit: beyond the limit the system resets sockets silently. At least half of it. */
export function connectionCapacity (limit: number): number {
  return Math.max(Math.floor(limit / 2), limit - RESERVED)
}
