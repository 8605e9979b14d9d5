import type { PresenceLane } from './presence-lane.js'
import type { Part } from './presence-snapshot.js'

/** A question that was not sent yet. */
interface Question<Answer> {
  readonly parts: Set<Part>
  /** What has to be done first: what its askers have changed before. */
  after: Promise<void>
  readonly answer: Promise<Answer>
}

/**
 * Asks Redis who is in a room: one question per room is under way, and those who ask meanwhile get the answer to the next, all
 * at the same moment. So a room is not read thousands of times for thousands who ask at once; and who asks for both parts
 * together gets them without a diff in between.
 */
export class PresenceQuestions<Answer> {
  readonly #laneOf: (room: string) => Pick<PresenceLane, 'settled'>
  readonly #read: (room: string, parts: ReadonlySet<Part>) => Promise<Answer>
  readonly #questions = new Map<string, Question<Answer>>()
  /** By room: until the latest question has been answered. */
  readonly #answered = new Map<string, Promise<void>>()

  /** @param read asks Redis. What it answers is shared by those who have asked */
  constructor (laneOf: (room: string) => Pick<PresenceLane, 'settled'>, read: (room: string, parts: ReadonlySet<Part>) => Promise<Answer>) {
    this.#laneOf = laneOf
    this.#read = read
  }

  /** Rooms that are asked about. */
  get size (): number { return this.#answered.size }

  /**
   * What this node has changed before is in the answer.
   * @throws FST_HUB_BROKER_UNAVAILABLE (as a rejection)
   */
  async ask (room: string, part: Part): Promise<Answer> {
    const question = this.#questions.get(room) ?? this.#begin(room)
    question.parts.add(part)
    question.after = this.#laneOf(room).settled
    return await question.answer
  }

  #begin (room: string): Question<Answer> {
    const before = this.#answered.get(room) ?? Promise.resolve()
    const question: Question<Answer> = { parts: new Set(), after: before, answer: before.then(async () => await this.#send(room, question)) }
    const answered = question.answer.then(() => {}, () => {}).finally(() => {
      if (this.#answered.get(room) === answered) this.#answered.delete(room)
    })
    this.#questions.set(room, question)
    this.#answered.set(room, answered)
    return question
  }

  async #send (room: string, question: Question<Answer>): Promise<Answer> {
    this.#questions.delete(room)
    await question.after
    return await this.#read(room, question.parts)
  }
}
