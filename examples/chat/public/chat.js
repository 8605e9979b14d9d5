/*
 * The page of the chat: no framework. What it says to the server is in ../events.ts; the connection is the client's of
 * fastify-hub, which comes back by itself, with all that was missed.
 */
import { createClient } from './client.js'
import { $, announce, avatar, element, randomId } from './elements.js'
import { ChatRoom } from './room.js'

/** As in events.ts. */
const CHAT = 'chat:'
const DIRECTORY = 'rooms'
const LOBBY = 'lobby'
const NAME_TAKEN = 4509
/** A newer connection of this tab's id has come: the tab was duplicated. */
const REPLACED = 4502
/** A handshake that the server refuses looks to a page like a server that is away. */
const NAME = /^[\p{L}\p{M}\p{N}\p{P}\p{S}]+(?: [\p{L}\p{M}\p{N}\p{P}\p{S}]+)*$/u

/** The rooms that we are in, by name. */
const rooms = new Map()
/** How many there are in each room that the server lists. */
let sizes = new Map()
/** @type {import('fastify-hub/client').HubClient<typeof import('../events.js').events> | null} */
let client = null
let me = ''
let current = LOBBY
let ticker = 0

/* ---- rooms ---- */

function openRoom (name) {
  const before = rooms.get(current)
  if (before !== undefined) before.draft = $('text').value
  current = name
  let room = rooms.get(name)
  if (room === undefined) {
    room = new ChatRoom(client, name, me, {
      onChange: () => { showRoom(); showRooms() },
      isSeen: () => name === current,
      onEnd: (problem) => { closeRoom(name, problem) }
    })
    rooms.set(name, room)
  }
  room.unread = 0
  for (const other of rooms.values()) other.log.hidden = other !== room
  $('text').value = room.draft
  showRoom()
  showRooms()
  room.log.scrollTop = room.log.scrollHeight
}

function closeRoom (name, problem = '') {
  rooms.get(name)?.end()
  rooms.delete(name)
  if (name !== LOBBY && name === current) {
    openRoom(LOBBY)
  } else {
    showRoom()
    showRooms()
  }
  if (problem !== '') showProblem(`You are not in #${name}: ${problem}.`)
}

function showRooms () {
  const list = [...new Set([LOBBY, ...sizes.keys(), ...rooms.keys()])]
    .sort((a, b) => (b === LOBBY) - (a === LOBBY) || a.localeCompare(b))
  const focused = document.activeElement?.dataset?.room
  $('rooms').replaceChildren(...list.map((name) => {
    const unread = rooms.get(name)?.unread ?? 0
    const button = element('button', rooms.has(name) ? 'joined' : '', element('span', 'label', name))
    button.type = 'button'
    button.dataset.room = name
    if (name === current) button.setAttribute('aria-current', 'true')
    if (unread > 0) {
      button.append(element('span', 'unread', String(unread), element('span', 'unseen', ' unread')))
    } else {
      button.append(element('span', 'count', String(sizes.get(name) ?? 0), element('span', 'unseen', ' here')))
    }
    button.onclick = () => { openRoom(name) }
    return element('li', '', button)
  }))
  if (focused !== undefined) $('rooms').querySelector(`[data-room="${window.CSS.escape(focused)}"]`)?.focus()
  const unread = [...rooms.values()].reduce((sum, room) => sum + room.unread, 0)
  document.title = `${unread > 0 ? `(${unread}) ` : ''}${current} - fastify-hub chat`
}

function showRoom () {
  const room = rooms.get(current)
  const people = room?.names ?? []
  $('room-name').textContent = current
  $('leave').hidden = current === LOBBY
  $('people-count').textContent = people.length
  $('people').replaceChildren(...people.map((person) => {
    const line = element('li', '', avatar(person), element('span', 'who', person))
    if (person === me) line.append(element('span', 'you', 'you'))
    return line
  }))
  $('faces').replaceChildren(...people.slice(0, 3).map(avatar))
  $('faces-text').textContent = `${people.length} here`
  $('typing').textContent = typingText([...room?.typing ?? []])
  $('text').placeholder = `Message #${current}`
  $('composer').querySelector('button').disabled = room === undefined || client?.state.is === 'closed'
}

function typingText (names) {
  if (names.length === 0) return ''
  return names.length > 2 ? `${names.length} people are typing…` : `${names.join(' and ')} ${names.length === 1 ? 'is' : 'are'} typing…`
}

function showList (list) {
  sizes = new Map(list.map(({ room, people }) => [room.slice(CHAT.length), people]))
  showRooms()
}

/* ---- the connection's state ---- */

const TITLES = {
  connecting: () => 'Connecting…',
  recovering: () => 'Catching up…',
  open: () => 'Online',
  waiting: ({ retryAt }) => `Reconnecting in ${Math.max(1, Math.ceil((retryAt - Date.now()) / 1000))} s`,
  closed: ({ code, reason }) => `Closed: ${code === REPLACED ? 'continued in another tab' : reason || `code ${code}`}`
}

function showState (state) {
  clearInterval(ticker)
  const { is, reason } = state
  const show = () => {
    const title = TITLES[is](state)
    $('state-text').textContent = title
    $('notice-text').textContent = is === 'waiting' ? `You are offline: ${reason || 'no connection'}. ${title}. What you write now is sent then.` : title
  }
  show()
  if (is === 'waiting') ticker = setInterval(show, 250)
  $('chat').dataset.is = $('state').dataset.is = $('notice').dataset.is = is
  if (is === 'waiting' || is === 'closed') $('notice').hidden = false
  else if (is === 'recovering' || is === 'open') $('notice').hidden = true
  $('retry').disabled = is === 'connecting'
  $('retry').textContent = is === 'closed' ? 'Come back' : 'Try now'
  if (is === 'waiting') announce('The connection is lost, reconnecting')
  else if (is === 'open' || is === 'closed') announce(TITLES[is](state))
  showRoom()
}

/** What belongs to no message and no room. */
function showProblem (text) {
  rooms.get(current)?.note(text)
  announce(text)
}

/* ---- in and out ---- */

function clean (name) {
  return name.trim().replace(/\s+/g, ' ').normalize('NFC')
}

function enter (name) {
  me = name
  sessionStorage.setItem('name', name)
  // Tells a tab that comes back from somebody else with the same name.
  const tab = sessionStorage.getItem('tab') ?? randomId()
  sessionStorage.setItem('tab', tab)
  const url = new URL(`/ws?${new URLSearchParams({ name, tab })}`, document.location.href)
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  $('gate').hidden = true
  $('chat').hidden = false
  $('notice').hidden = true
  $('my-name').textContent = name
  $('my-avatar').replaceWith(Object.assign(avatar(name), { id: 'my-avatar' }))
  client = createClient({ url: url.href })
  client.on('state', (state) => {
    if (state.is === 'closed' && state.code === NAME_TAKEN) showGate(`Somebody here is called “${me}” already. Choose another name.`)
    else if (state.is !== 'closed' || !$('chat').hidden) showState(state)
  })
  client.on('error', ({ message }) => { showProblem(`The server says: ${message}`) })
  // The server puts everybody into it.
  client.room(DIRECTORY).on('message', (directory) => { showList(directory.rooms) })
  client.open()
  openRoom(LOBBY)
  $('text').focus()
}

function showGate (problem = '') {
  $('chat').hidden = true
  $('gate').hidden = false
  client?.close()
  sessionStorage.removeItem('name')
  for (const room of rooms.values()) room.end()
  rooms.clear()
  sizes.clear()
  current = LOBBY
  showNameProblem(problem)
  $('name').value = me
  $('name').select()
  document.title = 'Chat - fastify-hub'
}

function showNameProblem (problem) {
  $('name-problem').textContent = problem
  $('name').setAttribute('aria-invalid', String(problem !== ''))
}

$('enter').onsubmit = (event) => {
  event.preventDefault()
  const name = clean($('name').value)
  showNameProblem(name === '' ? 'Please tell us your name first.' : NAME.test(name) ? '' : 'Please use visible characters only.')
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
  if (text !== '' && client.state.is !== 'closed') {
    rooms.get(current)?.say(text)
    $('text').value = ''
  }
  $('text').focus()
}
$('text').oninput = () => { rooms.get(current)?.typed($('text').value.trim() === '') }
$('text').onkeydown = (event) => {
  // While an input method composes a character, Enter is its own.
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
  event.preventDefault()
  $('composer').requestSubmit()
}
$('leave').onclick = () => {
  rooms.get(current)?.leave()
  closeRoom(current)
}
$('toggle-people').onclick = () => {
  const shown = $('people-panel').classList.toggle('shown')
  $('toggle-people').ariaExpanded = String(shown)
}
$('rename').onclick = () => { showGate() }
$('retry').onclick = () => { client.reconnect() }
window.onkeydown = (event) => {
  if (event.key === 'Escape' && $('people-panel').classList.contains('shown')) $('toggle-people').click()
}

const known = sessionStorage.getItem('name')
if (known !== null) enter(known)
