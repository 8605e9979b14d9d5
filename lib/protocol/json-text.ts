/** A JSON value of the application as its text: made once, whatever goes around it. */
export class JsonText {
  readonly text: string

  constructor (text: string) {
    this.text = text
  }
}
