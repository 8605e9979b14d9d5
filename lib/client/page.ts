import type { PageLike } from './platform.js'

export interface PageListener {
  /** There is a network, or another one; or the page is seen again. */
  onAwake (): void
  /** The network is gone. */
  onOffline (): void
}

/**
 * Hears what a browser tells of its network and of the page.
 * @returns ends that
 */
export function watchPage (page: PageLike, { onAwake, onOffline }: PageListener): () => void {
  const events = {
    online: onAwake,
    offline: onOffline,
    visibilitychange: () => { if (page.document?.visibilityState === 'visible') onAwake() }
  }
  // 'visibilitychange' is of the document, and bubbles.
  for (const [type, listener] of Object.entries(events)) page.addEventListener(type, listener)
  return () => { for (const [type, listener] of Object.entries(events)) page.removeEventListener(type, listener) }
}

/** Whether the platform says that there is no network. It errs in both directions. */
export function isOffline (page: PageLike | null): boolean {
  return page?.navigator?.onLine === false
}
