// What a run of the soak did, beside what is promised (docs/guarantees.md).

const key = (...parts) => JSON.stringify(parts)
const place = ({ epoch, offset }) => `${epoch} ${offset}`

/** Finds what does not hold. */
export class Judge {
  /** By kind: a sentence each, and the room that it is about. */
  violations = new Map()
  counts = { heard: 0, gaps: 0, redone: 0, epochs: 0 }
  #run
  /** By room, epoch and offset: the text, and who has said so. */
  #meanings = new Map()
  /** By room: which epoch came before which, as somebody was told. */
  #orders = new Map()

  /** @param run `nodes`, `losses`, `isFlushed`, `policyOf`, `rooms`, `ends`: by room, the position at the end */
  constructor (run) { this.#run = run }

  judge () {
    const { nodes, rooms } = this.#run
    for (const node of nodes) {
      for (const fault of node.faults) this.fail('fault', fault)
      for (const view of node.views) this.#view(view)
      this.#answers(node)
      for (const question of node.questions) this.#question(question)
      this.#ephemeral(node)
    }
    this.#refused()
    for (const room of rooms) this.#ends(room)
    this.#places()
    return this.violations
  }

  /** @param room where it is about one */
  fail (kind, text, room = '') {
    const known = this.violations.get(kind)
    if (known === undefined) this.violations.set(kind, [{ text, room }])
    else known.push({ text, room })
  }

  /** An offset of an epoch is one text, whoever says so. */
  #mean (room, epoch, offset, text, at, who) {
    const name = key(room, epoch, offset)
    const known = this.#meanings.get(name)
    if (known === undefined) this.#meanings.set(name, { room, epoch, offset, text, who, at })
    else if (known.text !== text) this.fail('two texts', `${room} ${epoch} ${offset} is "${known.text}" (${known.who}, ${known.at} ms) and "${text}" (${who}, ${at} ms)`, room)
  }

  #view ({ node, room, start, events }) {
    let at = start
    const epochs = [start.epoch]
    const seen = new Map()
    const latest = new Map()
    for (const event of events) {
      const where = `${node} in ${room}, ${event.at} ms`
      if (event.to !== undefined) {
        this.#gap(where, room, at, event, epochs)
        at = event.to
        continue
      }
      const { offset, text } = event
      this.counts.heard++
      if (offset <= at.offset) this.fail('twice', `${where}: offset ${offset} behind ${place(at)}`, room)
      else if (offset !== at.offset + 1) this.fail('hole', `${where}: offset ${offset} behind ${place(at)}`, room)
      at = { epoch: at.epoch, offset }
      this.#mean(room, at.epoch, offset, text, event.at, `${node} was told`)
      const before = seen.get(text)
      if (before !== undefined) {
        if (before.epoch === at.epoch || this.#run.losses.length === 0) this.fail('twice', `${where}: "${text}" at ${place(before)} and ${place(at)}`, room)
        else this.counts.redone++
        continue
      }
      seen.set(text, at)
      const [, publisher, number] = /^(\w+)\.(\d+) /.exec(text)
      const last = latest.get(publisher) ?? 0
      if (Number(number) < last) this.fail('order', `${where}: "${text}" at ${place(at)} behind number ${last} of ${publisher}`, room)
      latest.set(publisher, Math.max(last, Number(number)))
    }
  }

  #gap (where, room, at, { at: time, from, to }, epochs) {
    const { losses, isFlushed, policyOf } = this.#run
    this.counts.gaps++
    const what = `${where}: ${place(from)} to ${place(to)}`
    if (from.epoch !== at.epoch || from.offset !== at.offset) this.fail('gap', `${what}, and it was at ${place(at)}`, room)
    if (to.epoch === from.epoch) {
      if (to.offset <= from.offset) this.fail('gap', `${what}: nothing is between`, room)
      if (policyOf(room).isLarge) this.fail('gap in a kept log', what, room)
      return
    }
    if (epochs.includes(to.epoch)) this.fail('epoch again', what, room)
    for (const epoch of epochs) this.#follows(room, epoch, to.epoch, what)
    epochs.push(to.epoch)
    if (!losses.some((loss) => loss.at <= time)) this.fail('gap without loss', what, room)
    if (policyOf(room).isCalm && !isFlushed) this.fail('gap where nothing was lost', what, room)
  }

  #follows (room, before, after, what) {
    const order = this.#orders.get(room) ?? new Set()
    this.#orders.set(room, order.add(key(before, after)))
    if (order.has(key(after, before))) this.fail('order of epochs', `${what}, and elsewhere the other way round`, room)
  }

  #answers (node) {
    const latest = new Map()
    for (const { room, text, position, ended } of node.published) {
      if (position === null) continue
      this.#mean(room, position.epoch, position.offset, text, ended, 'its publisher was told')
      const last = latest.get(key(room, position.epoch)) ?? 0
      if (position.offset <= last) this.fail('order', `"${text}" was confirmed as ${place(position)}, behind ${last}`, room)
      latest.set(key(room, position.epoch), position.offset)
    }
  }

  /** Exactly what lies between, or the word that it is not. */
  #question ({ node, at, room, since, limit, least, answer: { position, publications, recovered } }) {
    const { losses, policyOf } = this.#run
    const { size, mode, isLarge } = policyOf(room)
    const what = `${node} asked for ${room} since ${since === undefined ? 'ever' : place(since)}, ${at} ms, got ${recovered ? '' : 'not '}recovered ${place(position)} with ${publications.map(({ offset }) => offset).join().replace(/(,.{30}).*(.{30})/, '$1 ... $2')}`
    for (const { offset, payload } of publications) this.#mean(room, position.epoch, offset, payload, at, `${node} found in the log`)
    if (losses.length === 0 && least !== undefined && (position.epoch !== least.epoch || position.offset < least.offset)) this.fail('history', `${what}, when ${place(least)} had been confirmed`, room)
    if (since === undefined) return
    const isBetween = since.epoch === position.epoch && since.offset <= position.offset
    if (!recovered) {
      if (publications.length > 0) this.fail('history', `${what}: a part`, room)
      if (isBetween && since.offset === position.offset) this.fail('history', `${what}: nothing is missing`, room)
      if (isBetween && isLarge) this.fail('history', `${what}: the log has all`, room)
      return
    }
    if (!isBetween) return this.fail('history', `${what}: of another log`, room)
    if (mode === 'cache' || size === 0) {
      if (size === 0 && since.offset !== position.offset) this.fail('history', `${what}: nothing is kept`, room)
      return
    }
    const missing = position.offset - since.offset
    const expected = limit === 0 ? missing : Math.min(limit, missing)
    if (publications.length !== expected || publications.some(({ offset }, i) => offset !== since.offset + 1 + i)) this.fail('history', `${what}: not what lies between`, room)
  }

  /** At most once, and those of one node for one room in the order of its calls. */
  #ephemeral (node) {
    const latest = new Map()
    const seen = new Set()
    for (const { room, text } of node.ephemeral) {
      const [, publisher, number] = /^(\w+)\.(\d+) /.exec(text)
      const name = key(room, publisher)
      if (seen.has(text)) {
        if (this.#run.losses.length === 0) this.fail('ephemeral', `${node.name} heard "${text}" twice`, room)
        continue
      }
      seen.add(text)
      if (Number(number) < (latest.get(name) ?? 0)) this.fail('ephemeral', `${node.name} heard "${text}" behind ${latest.get(name)}`, room)
      latest.set(name, Number(number))
    }
  }

  /** What Redis has refused was not done. */
  #refused () {
    const refused = new Map(this.#run.nodes.flatMap(({ published }) => published.filter(({ isRefused }) => isRefused).map((entry) => [entry.text, entry])))
    for (const { text, room, who, ...position } of this.#meanings.values()) {
      if (refused.has(text)) this.fail('refused and done', `"${text}" is ${place(position)} of ${room} (${who}), and was refused at ${refused.get(text).ended} ms: ${refused.get(text).error.message}`, room)
    }
  }

  /** All who are in the room stand where it does, and nothing is beyond that. */
  #ends (room) {
    const { ends, nodes, policyOf, losses } = this.#run
    const { position, publications } = ends.get(room)
    for (const { current, name } of nodes) {
      const at = current.get(room)?.position
      if (at != null && place(at) !== place(position)) this.fail('deaf', `${name} ends at ${place(at)} of ${room}, which is at ${place(position)}`, room)
    }
    for (const { offset, payload } of publications) this.#mean(room, position.epoch, offset, payload, Infinity, 'the log at the end')
    const epochs = new Set()
    for (const known of this.#meanings.values()) {
      if (known.room !== room) continue
      epochs.add(known.epoch)
      if (known.epoch === position.epoch && known.offset > position.offset) this.fail('lost', `"${known.text}" is ${place(known)} of ${room} (${known.who}), which ends at ${place(position)}`, room)
      else if (losses.length === 0 && known.epoch !== position.epoch) this.fail('lost', `"${known.text}" is ${place(known)} of ${room} (${known.who}), which ends at ${place(position)}`, room)
    }
    this.counts.epochs = Math.max(this.counts.epochs, epochs.size)
    if (!policyOf(room).isLarge) return
    const offsets = publications.map(({ offset }) => offset)
    if (offsets.some((offset, i) => offset !== i + 1) || offsets.length !== position.offset) this.fail('lost', `the log of ${room} has ${offsets.length}, which ends at ${place(position)}`, room)
  }

  /** A text has one place in an epoch. */
  #places () {
    const places = new Map()
    for (const { room, epoch, offset, text, who } of this.#meanings.values()) {
      const name = key(room, epoch, text)
      const known = places.get(name)
      if (known !== undefined) this.fail('twice', `"${text}" is ${offset} (${who}) and ${known.offset} (${known.who}) of ${room} ${epoch}`, room)
      places.set(name, { offset, who })
    }
  }
}
