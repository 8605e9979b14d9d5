import { $, element, messageNode, randomId } from './elements.js'

/** As in events.ts. */
const CHAT = 'chat:'
const MAX_ENTRIES = 500
/** Ids of messages that are remembered, so that none is shown twice: more than the server keeps of a room. */
const MAX_REMEMBERED = 1000
/** Messages of one author within this time stand together. */
const TOGETHER_MS = 3 * 60_000
/** Who goes on typing says so this often: the server forgets it after twice that. */
const TYPING_EVERY_MS = 3_000

/** Keeps the newest message in view when the window, or the keyboard of a phone, changes the height. */
const observer = new window.ResizeObserver((entries) => {
  for (const { target } of entries) if (target.dataset.atEnd === 'true') target.scrollTop = target.scrollHeight
})

/** A room that we are in, or want to be in: what was said there, and who is there. */
export class ChatRoom {
  log = element('div', 'log', element('p', 'empty', element('b', '', 'Nothing said yet'), 'Be the first.'))
  people = new Set()
  typing = new Set()
  unread = 0
  draft = ''
  #client
  #room
  #me
  #hooks
  #offs
  /** The latest message in the log that has its place there. */
  #last = null
  /** Ids of the messages in the log. */
  #shown = new Set()
  /** Own messages that have no place in the log yet, by id. They stand at its end. */
  #own = new Map()
  /** What comes while history is loaded, and stands behind it; null otherwise. */
  #held = null
  #loads = 0
  #typedAt = 0

  /**
   * @param hooks `onChange()` after each change, `isSeen()` whether it is the room on the screen, `onEnd(problem?)` when we
   *   are not in it any more, and not by our own will
   */
  constructor (client, name, me, hooks) {
    this.name = name
    this.#client = client
    this.#me = me
    this.#hooks = hooks
    this.#makeLog()
    const room = this.#room = client.room(CHAT + name)
    this.#offs = [
      // recovered: what was missed follows. Not recovered: 'gap' tells.
      room.on('joined', ({ recovered }) => { if (recovered === undefined) this.#load(true) }),
      room.on('gap', () => {
        this.note('History was reloaded: some of what was said while you were away may be missing.')
        this.#load(false)
      }),
      room.on('message', (message) => { this.#arrived(message) }),
      room.on('presence', (change) => { this.#showPresence(change) }),
      room.on('error', ({ message }) => { hooks.onEnd(message) }),
      room.on('left', () => { hooks.onEnd('the server has closed this room') })
    ]
    this.#enter()
  }

  /** Says it now, or as soon as there is a connection again: until then it is shown as pending. */
  say (text) {
    const id = randomId()
    const node = messageNode({ from: this.#me, text, at: Date.now() }, { isMine: true, isFirst: this.#last?.from !== this.#me && this.#own.size === 0 })
    node.classList.add('pending')
    this.#own.set(id, node)
    this.#append(node, null)
    this.#typedAt = 0
    this.#client.emit('say', { room: CHAT + this.name, id, text }).then(
      () => { node.classList.remove('pending') },
      (error) => {
        // It may have been said all the same, where the answer was lost.
        if (this.#shown.has(id)) return
        node.classList.remove('pending')
        node.append(element('p', 'fate', `Not sent: ${error.message}`))
      }
    )
  }

  /** The draft has changed. */
  typed (isEmpty) {
    const now = Date.now()
    if (this.#client.state.is !== 'open' || (isEmpty ? this.#typedAt === 0 : now - this.#typedAt < TYPING_EVERY_MS)) return
    this.#typedAt = isEmpty ? 0 : now
    // Nobody misses it.
    this.#client.emit('typing', { room: CHAT + this.name, active: !isEmpty }).catch(() => {})
  }

  leave () {
    this.end()
    // The end of the connection does it, too.
    this.#room.leave().catch(() => {})
  }

  end () {
    for (const off of this.#offs) off()
    observer.unobserve(this.log)
    this.log.remove()
  }

  /** @returns in which order people are shown: oneself, then by name */
  get names () {
    return [...this.people].sort((a, b) => (b === this.#me) - (a === this.#me) || a.localeCompare(b))
  }

  #makeLog () {
    const { log } = this
    log.role = 'log'
    log.tabIndex = 0
    log.ariaLabel = `Messages in ${this.name}`
    log.hidden = true
    log.dataset.atEnd = 'true'
    log.onscroll = () => { log.dataset.atEnd = String(log.scrollHeight - log.scrollTop - log.clientHeight < 80) }
    observer.observe(log)
    $('logs').append(log)
  }

  /** Both wait for a connection, and are repeated by the client after a reconnect. */
  async #enter () {
    try {
      await this.#room.join()
    } catch ({ code, message }) {
      if (code !== 'left' && code !== 'closed') this.#hooks.onEnd(message)
      return
    }
    try {
      const { users, states } = await this.#room.presence({ watch: true })
      this.#showPresence({ users, states: states.map((state) => ({ ...state, active: true })) })
    } catch ({ code, message }) {
      if (code !== 'closed' && code !== 'not_joined') this.note(`Who is here is not known: ${message}`)
    }
  }

  /** What was said before. @param isFirst nobody has missed it: it is not unread */
  async #load (isFirst) {
    const load = ++this.#loads
    this.#held ??= []
    let messages = []
    try {
      messages = (await this.#client.emit('history', { room: CHAT + this.name })).messages
    } catch ({ message }) {
      this.note(`What was said before can not be loaded: ${message}`)
    }
    // The log was lost once more: the next one goes on.
    if (load !== this.#loads) return
    for (const { message } of messages) this.#show(message, isFirst)
    for (const message of this.#held) this.#show(message, false)
    this.#held = null
    this.#hooks.onChange()
  }

  #arrived (message) {
    if (this.#held !== null) {
      this.#held.push(message)
      return
    }
    this.#show(message, false)
    this.#hooks.onChange()
  }

  /** In the order of the room's log, which is the same for everybody: own messages get their place only now. */
  #show (message, isOld) {
    const { id, from, at } = message
    if (this.#shown.has(id)) return
    this.#shown.add(id)
    if (this.#shown.size > MAX_REMEMBERED) this.#shown.delete(this.#shown.values().next().value)
    this.#own.get(id)?.remove()
    this.#own.delete(id)
    const isMine = from === this.#me
    const isFirst = this.#last?.from !== from || at - this.#last.at > TOGETHER_MS
    this.#last = { from, at }
    const [pending = null] = this.#own.values()
    this.#append(messageNode(message, { isMine, isFirst }), pending)
    if (!isOld && !isMine && !this.#hooks.isSeen()) this.unread++
  }

  /** A line between the messages. */
  note (text) {
    this.#last = null
    const [pending = null] = this.#own.values()
    this.#append(element('p', 'note', text), pending)
  }

  #append (node, before) {
    const { log } = this
    const atEnd = log.dataset.atEnd === 'true'
    log.querySelector('.empty')?.remove()
    log.insertBefore(node, before)
    while (log.childElementCount > MAX_ENTRIES) log.firstElementChild.remove()
    if (atEnd || node.classList.contains('mine')) log.scrollTop = log.scrollHeight
  }

  /** A change may tell again what is known already. With `users` it is everybody: of who came and went meanwhile nothing is known. */
  #showPresence ({ users, joined = [], left = [], states = [] }) {
    if (users !== undefined) {
      this.people = new Set(users.map(({ user }) => user))
      this.typing.clear()
    }
    for (const name of joined) {
      if (!this.people.has(name)) this.note(`${name} came in`)
      this.people.add(name)
    }
    for (const name of left) if (this.people.delete(name)) this.note(`${name} left`)
    for (const { user, key, active } of states) {
      if (key !== 'typing' || user === this.#me) continue
      if (active) this.typing.add(user)
      else this.typing.delete(user)
    }
    for (const name of this.typing) if (!this.people.has(name)) this.typing.delete(name)
    this.#hooks.onChange()
  }
}
