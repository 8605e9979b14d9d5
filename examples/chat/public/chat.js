/*
 * The page of the chat: no framework, no build. The protocol stands at the top of server.ts.
 * What people write goes into the page as text only (textContent), never as markup.
 */
import { Link } from './link.js'

const MAX_ENTRIES = 500
/** An own message that was not answered for this long: the connection is dead, whatever the browser thinks. */
const ANSWER_TIMEOUT = 10_000
/** Messages of one author within this time stand together. */
const TOGETHER_MS = 3 * 60_000
const LOBBY = 'lobby'
const NAME_TAKEN = 4509

/** As the server has it: a handshake that it refuses looks to a page like a server that is away. */
const NAME = /^[\p{L}\p{M}\p{N}\p{P}\p{S}]+(?: [\p{L}\p{M}\p{N}\p{P}\p{S}]+)*$/u

const $ = (id) => document.getElementById(id)
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })

/** Rooms by name: those that the server listed, and those that we are in. */
const rooms = new Map()
/** Own messages without an answer yet, by id. */
const pending = new Map()
let link = null
let me = ''
let current = LOBBY
let nextId = 1
let ticker = 0

/* ---- elements ---- */

function element (tag, className, ...children) {
  const node = document.createElement(tag)
  if (className) node.className = className
  node.append(...children)
  return node
}

function avatar (name) {
  const node = element('span', 'avatar', [...name][0].toUpperCase())
  let hue = 0
  for (const char of name) hue = (hue * 31 + char.codePointAt(0)) % 360
  node.style.setProperty('--hue', hue)
  node.ariaHidden = 'true'
  return node
}

function announce (text) {
  $('announce').textContent = text
}

/* ---- rooms ---- */

/** Keeps the newest message in view when the window, or the keyboard of a phone, changes the height. */
const observer = new window.ResizeObserver((entries) => {
  for (const { target } of entries) if (target.dataset.atEnd === 'true') target.scrollTop = target.scrollHeight
})

function roomOf (name) {
  let room = rooms.get(name)
  if (room === undefined) {
    const log = element('div', 'log', element('p', 'empty', element('b', '', 'Nothing said yet'), 'Be the first.'))
    log.role = 'log'
    log.tabIndex = 0
    log.ariaLabel = `Messages in ${name}`
    log.hidden = true
    log.dataset.atEnd = 'true'
    log.onscroll = () => { log.dataset.atEnd = String(log.scrollHeight - log.scrollTop - log.clientHeight < 80) }
    observer.observe(log)
    $('logs').append(log)
    room = { name, log, joined: false, wanted: false, size: 0, people: [], unread: 0, last: null, draft: '' }
    rooms.set(name, room)
  }
  return room
}

function openRoom (name) {
  const left = roomOf(current)
  left.draft = $('text').value
  const room = roomOf(name)
  current = name
  room.wanted = true
  room.unread = 0
  if (!room.joined) link.send({ op: 'join', room: name })
  for (const other of rooms.values()) other.log.hidden = other !== room
  $('text').value = room.draft
  showRoom()
  showRooms()
  room.log.scrollTop = room.log.scrollHeight
}

function showRooms () {
  const list = [...rooms.values()].filter(({ wanted, size, name }) => wanted || size > 0 || name === LOBBY)
  list.sort((a, b) => (b.name === LOBBY) - (a.name === LOBBY) || a.name.localeCompare(b.name))
  const focused = document.activeElement?.dataset?.room
  $('rooms').replaceChildren(...list.map(({ name, size, unread, joined }) => {
    const button = element('button', joined ? 'joined' : '', element('span', 'label', name))
    button.type = 'button'
    button.dataset.room = name
    if (name === current) button.setAttribute('aria-current', 'true')
    if (unread > 0) {
      button.append(element('span', 'unread', String(unread), element('span', 'unseen', ' unread')))
    } else {
      button.append(element('span', 'count', String(size), element('span', 'unseen', ' here')))
    }
    button.onclick = () => { openRoom(name) }
    return element('li', '', button)
  }))
  if (focused !== undefined) $('rooms').querySelector(`[data-room="${window.CSS.escape(focused)}"]`)?.focus()
  const unread = list.reduce((sum, room) => sum + room.unread, 0)
  document.title = `${unread > 0 ? `(${unread}) ` : ''}${current} - fastify-hub chat`
}

function showRoom () {
  const { name, people, joined } = roomOf(current)
  $('room-name').textContent = name
  $('leave').hidden = name === LOBBY
  $('people-count').textContent = people.length
  $('people').replaceChildren(...people.map((person) => {
    const line = element('li', '', avatar(person), element('span', 'who', person))
    if (person === me) line.append(element('span', 'you', 'you'))
    return line
  }))
  $('faces').replaceChildren(...people.slice(0, 3).map(avatar))
  $('faces-text').textContent = `${people.length} here`
  $('text').placeholder = `Message #${name}`
  $('composer').querySelector('button').disabled = !joined || link?.state.is !== 'online'
}

function setPeople (room, people) {
  const before = room.people
  room.people = [...people].sort((a, b) => (b === me) - (a === me) || a.localeCompare(b))
  // After a reconnect nobody has come or gone as far as we know.
  if (room.joined) {
    for (const name of people) if (!before.includes(name)) addNote(room, `${name} came in`)
    for (const name of before) if (!people.includes(name)) addNote(room, `${name} left`)
  }
  if (room.name === current) showRoom()
}

/* ---- what is said ---- */

function add (room, node) {
  const { log } = room
  const atEnd = log.dataset.atEnd === 'true'
  log.querySelector('.empty')?.remove()
  log.append(node)
  while (log.childElementCount > MAX_ENTRIES) log.firstElementChild.remove()
  if (atEnd || node.classList.contains('mine')) log.scrollTop = log.scrollHeight
}

function addNote (room, text) {
  room.last = null
  add(room, element('p', 'note', text))
}

function addMessage (room, { from, text, at, mine }) {
  const first = room.last === null || room.last.from !== from || at - room.last.at > TOGETHER_MS
  room.last = { from, at }
  const time = element('time', '', clock.format(at))
  time.dateTime = new Date(at).toISOString()
  const node = element('article', `message${mine ? ' mine' : ''}${first ? ' first' : ''}`)
  const head = element('div', first ? 'head' : 'head unseen', element('b', mine ? 'unseen' : '', mine ? 'You' : from), time)
  const bubble = element('div', 'bubble', text)
  bubble.title = time.textContent
  node.append(head, bubble)
  if (!mine && first) node.prepend(avatar(from))
  add(room, node)
  if (room.name !== current) {
    room.unread++
    showRooms()
  }
  return node
}

function say (text) {
  const room = roomOf(current)
  const id = nextId++
  if (!link.send({ op: 'say', room: room.name, text, id })) return false
  const node = addMessage(room, { from: me, text, at: Date.now(), mine: true })
  node.classList.add('pending')
  const timer = setTimeout(() => { link.abandon('no answer') }, ANSWER_TIMEOUT)
  pending.set(id, { node, timer })
  return true
}

/** The server's answer to an own message; without `problem` it was taken. */
function settle (id, problem) {
  const own = pending.get(id)
  if (own === undefined) return
  pending.delete(id)
  clearTimeout(own.timer)
  own.node.classList.remove('pending')
  if (problem !== undefined) own.node.append(element('p', 'fate', problem))
}

/* ---- what the server tells ---- */

const handlers = {
  welcome ({ you, rooms: list }) {
    me = you
    $('my-name').textContent = you
    $('my-avatar').replaceWith(Object.assign(avatar(you), { id: 'my-avatar' }))
    handlers.rooms({ rooms: list })
    for (const { name, wanted } of rooms.values()) if (wanted && name !== LOBBY) link.send({ op: 'join', room: name })
  },
  joined ({ room: name, people }) {
    const room = roomOf(name)
    room.people = people
    room.joined = room.wanted = true
    setPeople(room, people)
    showRooms()
  },
  left ({ room: name }) {
    const room = roomOf(name)
    room.joined = room.wanted = false
    room.people = []
    room.unread = 0
    if (name === current) openRoom(LOBBY)
    else showRooms()
  },
  people ({ room, people }) { setPeople(roomOf(room), people) },
  rooms ({ rooms: list }) {
    for (const room of rooms.values()) room.size = 0
    for (const { name, people } of list) roomOf(name).size = people
    for (const [name, room] of rooms) {
      if (room.size > 0 || room.wanted || name === LOBBY) continue
      room.log.remove()
      rooms.delete(name)
    }
    showRooms()
  },
  message ({ room, from, text, at }) { addMessage(roomOf(room), { from, text, at, mine: from === me }) },
  said ({ id }) { settle(id) },
  error ({ message, id }) {
    if (pending.has(id)) settle(id, `Not sent: ${message}`)
    else addNote(roomOf(current), `The server says: ${message}`)
  }
}

/* ---- the connection's state ---- */

function showState () {
  clearInterval(ticker)
  const { is, code, reason, retryAt } = link.state
  const seconds = () => Math.max(1, Math.ceil((retryAt - Date.now()) / 1000))
  const texts = {
    connecting: () => 'Connecting…',
    online: () => 'Online',
    waiting: () => `Reconnecting in ${seconds()} s`,
    closed: () => `Closed: ${reason || `code ${code}`}`
  }
  const show = () => {
    $('state-text').textContent = texts[is]()
    $('notice-text').textContent = is === 'closed' ? texts.closed() : `The connection is lost. ${texts[is]()}`
  }
  show()
  if (is === 'waiting') ticker = setInterval(show, 250)
  $('chat').dataset.is = $('state').dataset.is = $('notice').dataset.is = is
  if (is === 'waiting' || is === 'closed') $('notice').hidden = false
  else if (is === 'online') $('notice').hidden = true
  $('retry').disabled = is === 'connecting'
  $('retry').textContent = is === 'closed' ? 'Come back' : 'Try now'
  if (is !== 'connecting') announce(is === 'waiting' ? 'The connection is lost, reconnecting' : texts[is]())
}

function onState () {
  const { is, code, reason } = link.state
  if (is === 'closed' && code === NAME_TAKEN) {
    showGate(`Somebody here is called “${me}” already. Choose another name.`)
    return
  }
  if (is === 'waiting' || is === 'closed') {
    for (const id of [...pending.keys()]) settle(id, 'The connection broke: perhaps not sent')
    for (const room of rooms.values()) {
      if (room.joined) addNote(room, `You are offline: ${reason || 'no connection'}. What is said meanwhile does not reach you.`)
      room.joined = false
    }
  }
  showState()
  showRoom()
}

/* ---- in and out ---- */

function clean (name) {
  return name.trim().replace(/\s+/g, ' ').normalize('NFC')
}

function enter (name) {
  me = name
  sessionStorage.setItem('name', name)
  // Tells a tab that comes back from somebody else with the same name.
  const tab = sessionStorage.getItem('tab') ?? Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, '0')).join('')
  sessionStorage.setItem('tab', tab)
  const url = new URL(`/ws?${new URLSearchParams({ name, tab })}`, document.location.href)
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  $('gate').hidden = true
  $('chat').hidden = false
  $('notice').hidden = true
  $('my-name').textContent = name
  link = new Link(url.href, { onState, onMessage: (message) => { handlers[message.op]?.(message) } })
  link.open()
  openRoom(current)
  $('text').focus()
}

function showGate (problem = '') {
  link?.close()
  sessionStorage.removeItem('name')
  for (const id of [...pending.keys()]) settle(id)
  rooms.clear()
  current = LOBBY
  $('logs').replaceChildren()
  $('chat').hidden = true
  $('gate').hidden = false
  showProblem(problem)
  $('name').value = me
  $('name').select()
  document.title = 'Chat - fastify-hub'
}

function showProblem (problem) {
  $('name-problem').textContent = problem
  $('name').setAttribute('aria-invalid', String(problem !== ''))
}

$('enter').onsubmit = (event) => {
  event.preventDefault()
  const name = clean($('name').value)
  showProblem(name === '' ? 'Please tell us your name first.' : NAME.test(name) ? '' : 'Please use visible characters only.')
  if (NAME.test(name)) enter(name)
  else $('name').focus()
}
$('create').onsubmit = (event) => {
  event.preventDefault()
  const name = clean($('new-room').value.replace(/^\s*#/, ''))
  if (!NAME.test(name)) return
  $('new-room').value = ''
  openRoom(name)
  $('text').focus()
}
$('composer').onsubmit = (event) => {
  event.preventDefault()
  const text = $('text').value.trim()
  if (text !== '' && roomOf(current).joined && say(text)) $('text').value = ''
  $('text').focus()
}
$('text').onkeydown = (event) => {
  // While an input method composes a character, Enter is its own.
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
  event.preventDefault()
  $('composer').requestSubmit()
}
$('leave').onclick = () => {
  roomOf(current).wanted = false
  // Without a connection there is nothing to leave but the list.
  if (!link.send({ op: 'leave', room: current })) handlers.left({ room: current })
}
$('toggle-people').onclick = () => {
  const shown = $('people-panel').classList.toggle('shown')
  $('toggle-people').ariaExpanded = String(shown)
}
$('rename').onclick = () => { showGate() }
$('retry').onclick = () => { link.open() }
window.onkeydown = (event) => {
  if (event.key === 'Escape' && $('people-panel').classList.contains('shown')) $('toggle-people').click()
}
window.ononline = () => { if (link?.state.is === 'waiting') link.open() }

const known = sessionStorage.getItem('name')
if (known !== null) enter(known)
