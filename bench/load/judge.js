// What the members of chaos.js have heard, beside what they should have.

/**
 * @param members of each: `start` the position at which it entered, `heard` { epoch, offset, id } in order, `gaps` { since, position, isTold }
 * @param published of each: `id`, `name` of the room, and `position` or `code` as the publisher was told
 * @returns counts; those of `lost`, `told`, `doubled` and `disordered` are of one publication at one member each
 */
export function judge (members, published) {
  const figures = { published: published.length, acknowledged: 0, rejected: {}, rejectedAndHeard: 0, delivered: 0, lost: 0, told: 0, doubled: 0, disordered: 0, wronglyAcknowledged: 0, waiting: 0, newEpochs: 0, examples: [] }
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

/** From where it entered, each offset is heard, or was said to be lost. */
function missing ({ member, name, start, heard, gaps, ended }, figures, logOf, example) {
  if (!ended) figures.waiting++
  const count = (epoch, from, to, isTold) => {
    if (to < from) return
    if (isTold) figures.told += to - from + 1
    else figures.lost += to - from + 1
    example(`${member} has ${isTold ? 'been told that it has ' : ''}lost ${from} to ${to} of ${name} ${epoch}: ${[...Array(Math.min(3, to - from + 1)).keys()].map((i) => logOf(name, epoch).get(from + i) ?? 'heard by nobody')}`)
  }
  const left = [...gaps]
  let at = start
  for (const { epoch, offset } of heard) {
    while (epoch !== at.epoch || offset > at.offset + 1) {
      const i = left.findIndex(({ since, position }) => since !== null && since.epoch === at.epoch && since.offset === at.offset && (position.epoch === at.epoch || position.epoch === epoch || left.length > 1))
      const gap = left.splice(i, i === -1 ? 0 : 1)[0]
      if (gap === undefined) {
        // Nobody has said a word.
        if (epoch !== at.epoch) {
          figures.newEpochs++
          count(at.epoch, at.offset + 1, Math.max(at.offset, ...logOf(name, at.epoch).keys()), false)
        }
        count(epoch, epoch === at.epoch ? at.offset + 1 : 1, offset - 1, false)
        break
      }
      const { position, isTold } = gap
      if (position.epoch === at.epoch) {
        count(epoch, at.offset + 1, position.offset, isTold)
      } else {
        figures.newEpochs++
        // What was left of the old log, as far as anybody knows, and what it has not had of the new one.
        count(at.epoch, at.offset + 1, Math.max(at.offset, ...logOf(name, at.epoch).keys()), isTold)
        count(position.epoch, 1, position.offset, isTold)
      }
      at = position
    }
    at = { epoch, offset }
  }
}
