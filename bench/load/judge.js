// What the members of chaos.js have heard, beside what they should have.

/**
 * @param members of each: `start` the position at which it entered, `heard` { epoch, offset, id } in order, `gaps` { since, position, isTold }
 * @param published of each: `id`, `name` of the room, and `position` or `code` as the publisher was told
 * @returns counts; those of `lost`, `told`, `doubled` and `disordered` are of one publication at one member each
 */
export function judge (members, published) {
  const figures = { published: published.length, acknowledged: 0, rejected: {}, rejectedAndHeard: 0, delivered: 0, lost: 0, told: 0, doubled: 0, disordered: 0, wronglyAcknowledged: 0, waiting: 0, newEpochs: 0, onEpochs: 0, examples: [] }
  const example = (text) => { if (figures.examples.length < 20) figures.examples.push(text) }
  /** By room and epoch: which publication has which offset, as whoever heard it first says. */
  const logs = new Map()
  const logOf = (name, epoch) => {
    const key = JSON.stringify([name, epoch])
    let log = logs.get(key)
    if (log === undefined) logs.set(key, log = new Map())
    return log
  }
  const heardIds = new Set()
  for (const { member, name, heard } of members) {
    const ids = new Set()
    let last = null
    for (const { epoch, offset, id } of heard) {
      figures.delivered++
      heardIds.add(id)
      if (ids.has(id)) {
        figures.doubled++
        example(`${member} heard ${id} in ${name} twice, now as ${epoch} ${offset}`)
      }
      ids.add(id)
      const log = logOf(name, epoch)
      if (!log.has(offset)) log.set(offset, id)
      if (log.get(offset) !== id || (last !== null && last.epoch === epoch && offset <= last.offset)) {
        figures.disordered++
        example(`${member} heard ${id} in ${name} as ${epoch} ${offset}, where another has ${log.get(offset)}; before it ${JSON.stringify(last)}`)
      }
      last = { epoch, offset }
    }
  }
  /** By room, epoch and publisher: its latest, as they were acknowledged. */
  const latest = new Map()
  for (const { id, name, position, code } of published) {
    if (position === null) {
      figures.rejected[code] = (figures.rejected[code] ?? 0) + 1
      if (heardIds.has(id)) figures.rejectedAndHeard++
      continue
    }
    const { epoch, offset } = position
    figures.acknowledged++
    const log = logOf(name, epoch)
    // One that nobody heard is lost, or told, at each member.
    if (!log.has(offset)) log.set(offset, id)
    if (log.get(offset) !== id) {
      figures.wronglyAcknowledged++
      example(`${id} was acknowledged as ${name} ${epoch} ${offset}, which is ${log.get(offset)}`)
    }
    const publisher = JSON.stringify([name, epoch, id.split('.')[0]])
    if (offset < (latest.get(publisher) ?? 0)) {
      figures.disordered++
      example(`${id} was acknowledged as ${name} ${epoch} ${offset}, behind ${latest.get(publisher)} for an earlier one of its publisher`)
    }
    latest.set(publisher, offset)
  }
  for (const record of members) missing(record, figures, logOf, example)
  return figures
}

/** From where it entered, each offset is heard, or was said to be lost; through epochs that go on from each other, with the offsets as they are. */
function missing ({ member, name, start, heard, gaps, ended }, figures, logOf, example) {
  if (!ended) figures.waiting++
  const ids = new Set(heard.map(({ id }) => id))
  const count = (epoch, offsets, isTold) => {
    if (offsets.length === 0) return
    if (isTold) figures.told += offsets.length
    else figures.lost += offsets.length
    example(`${member} has ${isTold ? 'been told that it has ' : ''}lost ${offsets[0]} to ${offsets.at(-1)} of ${name} ${epoch}: ${offsets.slice(0, 3).map((offset) => logOf(name, epoch).get(offset) ?? 'heard by nobody')}`)
  }
  const between = (from, to) => Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i)
  /** Those of an epoch, as far as anybody knows, that it has under no epoch. */
  const unheard = (epoch, from, to) => [...logOf(name, epoch)].filter(([offset, id]) => offset >= from && offset <= to && !ids.has(id)).map(([offset]) => offset)
  const left = [...gaps]
  let at = start
  for (const { epoch, offset } of heard) {
    while (epoch !== at.epoch || offset > at.offset + 1) {
      // Be it that its epoch has gone on in another one, of which nothing was heard.
      const i = left.findIndex(({ since, position }) => since !== null && since.offset === at.offset && (position.epoch === at.epoch || position.epoch === epoch || left.length > 1))
      const gap = left.splice(i, i === -1 ? 0 : 1)[0]
      if (gap === undefined) {
        // Nobody has said a word: it goes on.
        if (epoch !== at.epoch) {
          figures.onEpochs++
          count(at.epoch, unheard(at.epoch, at.offset + 1, Infinity), false)
        }
        count(epoch, between(at.offset + 1, offset - 1), false)
        break
      }
      const { position, isTold } = gap
      if (position.epoch === at.epoch) {
        count(epoch, between(at.offset + 1, position.offset), isTold)
      } else {
        figures.newEpochs++
        count(at.epoch, unheard(at.epoch, at.offset + 1, Infinity), isTold)
        count(position.epoch, unheard(position.epoch, 1, position.offset), isTold)
      }
      at = position
    }
    at = { epoch, offset }
  }
}
