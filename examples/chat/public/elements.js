/* What the page is made of. What people write goes into it as text only (textContent), never as markup. */

export const $ = (id) => document.getElementById(id)

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })

export function element (tag, className, ...children) {
  const node = document.createElement(tag)
  if (className) node.className = className
  node.append(...children)
  return node
}

export function avatar (name) {
  const node = element('span', 'avatar', [...name][0].toUpperCase())
  let hue = 0
  for (const char of name) hue = (hue * 31 + char.codePointAt(0)) % 360
  node.style.setProperty('--hue', hue)
  node.ariaHidden = 'true'
  return node
}

/** @param isFirst whether it begins a row of messages of one author */
export function messageNode ({ from, text, at }, { isMine, isFirst }) {
  const time = element('time', '', clock.format(at))
  time.dateTime = new Date(at).toISOString()
  const node = element('article', `message${isMine ? ' mine' : ''}${isFirst ? ' first' : ''}`)
  const head = element('div', isFirst ? 'head' : 'head unseen', element('b', isMine ? 'unseen' : '', isMine ? 'You' : from), time)
  const bubble = element('div', 'bubble', text)
  bubble.title = time.textContent
  node.append(head, bubble)
  if (!isMine && isFirst) node.prepend(avatar(from))
  return node
}

/** For those who hear the page. */
export function announce (text) {
  $('announce').textContent = text
}

/** crypto.randomUUID is only there where the page came over TLS, or from this machine. */
export function randomId () {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
