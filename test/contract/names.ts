/** FAULTS 69: names that an implementation must keep apart, whatever it makes keys of. All are 1 to 255 bytes of UTF-8. */
export const HOSTILE_NAMES = [
  'a', 'A', ' a', 'a ', 'a:b', 'a:', ':a', 'a::b', '{a}', '}a{', 'a}', '{', '*', '?', '[a]', 'a\nb', 'a\r\nb', '\0', 'a\0b', '..', '../a', 'a/b', '%61',
  '\u0061\u0301', '\u00e1', '\ufeffa', '\u202ea', '😀', '__proto__', 'constructor', 'toString', 'null', 'undefined', '0', '-', '$', '>', '<script>', '"', "'", '\\', 'x'.repeat(255)
]
