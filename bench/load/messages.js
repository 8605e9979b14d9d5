// What the publisher sends: a head of eleven bytes (what to do, the room, a number) and a filling.

/** @param kind 'b' to all, 'r' to the room, 'e' back, 'j' as an object to all */
export function message (kind, room, number, bytes) {
  return `${kind}${String(room).padStart(2, '0')}${String(number).padStart(8, '0')}`.padEnd(bytes, FILLING)
}

/** As compressible as JSON. */
const FILLING = Array.from({ length: 2_000 }, (_, i) => `{"id":${i * 7919 % 1000},"name":"item ${i % 10}","price":${i * 31 % 97}.5}`).join('').replaceAll('"', '-')
