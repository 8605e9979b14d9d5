import fc from 'fast-check'
import t from 'tap'
import { ipKey } from '../../../lib/core/ip-key.js'

const hex = (group: number): string => group.toString(16)

/** Ways to write one IPv6 address: RFC 4291 section 2.2. */
function spellings (groups: readonly number[]): string[] {
  const plain = groups.map(hex)
  const padded = groups.map((group) => hex(group).padStart(4, '0'))
  const [g6 = 0, g7 = 0] = groups.slice(6)
  const dotted = [g6 >> 8, g6 & 255, g7 >> 8, g7 & 255].join('.')
  const all = [plain.join(':'), padded.join(':'), plain.join(':').toUpperCase(), `${plain.join(':')}%eth0`, `${plain.slice(0, 6).join(':')}:${dotted}`]
  for (let start = 0; start < 8; start++) {
    for (let end = start + 1; end <= 8; end++) {
      if (groups.slice(start, end).some((group) => group !== 0)) break
      all.push(`${plain.slice(0, start).join(':')}::${plain.slice(end).join(':')}`)
      if (end <= 6) all.push(`${plain.slice(0, start).join(':')}::${[...plain.slice(end, 6), dotted].join(':')}`)
    }
  }
  return all
}

t.test('IPv4 is itself, mapped into IPv6 or not', (t) => {
  for (const ip of ['10.1.2.3', '::ffff:10.1.2.3', '::FFFF:0a01:203', '0:0:0:0:0:ffff:a01:0203', '::ffff:10.1.2.3%lo']) t.equal(ipKey(ip), '10.1.2.3', ip)
  t.equal(ipKey('255.255.255.255'), '255.255.255.255')
  t.equal(ipKey('::ffff:255.0.255.1'), '255.0.255.1')
  t.end()
})

t.test('IPv6 counts by /64', (t) => {
  t.equal(ipKey('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64')
  t.equal(ipKey('2001:db8:1:2::'), '2001:db8:1:2::/64')
  t.equal(ipKey('::1'), '0:0:0:0::/64')
  t.equal(ipKey('::'), '0:0:0:0::/64')
  t.equal(ipKey('fe80::1%eth0'), 'fe80:0:0:0::/64')
  t.equal(ipKey('::1:ffff:1.2.3.4'), '0:0:0:0::/64', 'mapped only behind 80 zero bits')
  t.not(ipKey('2001:db8:1:2::1'), ipKey('2001:db8:1:3::1'))
  t.end()
})

t.test('anything else counts as it is', (t) => {
  for (const text of ['', '/run/app.sock', 'proxy', '1.2.3', '1.2.3.4.5', '1.2.3.4%x', ':::', 'unknown', '[::1]']) t.equal(ipKey(text), text)
  t.end()
})

t.test('all spellings of an address have one key, and all addresses of a /64', (t) => {
  const group = fc.oneof(fc.constant(0), fc.constant(0xffff), fc.nat(0xffff))
  const groups = fc.array(group, { minLength: 8, maxLength: 8 })
  fc.assert(fc.property(groups, groups, (address, other) => {
    const keys = new Set(spellings(address).map(ipKey))
    if (keys.size !== 1) throw new Error([...keys].join(' '))
    const isMapped = (them: readonly number[]): boolean => them.slice(0, 5).every((one) => one === 0) && them[5] === 0xffff
    const neighbour = [...address.slice(0, 4), ...other.slice(4)]
    return isMapped(address) || isMapped(neighbour) || ipKey(spellings(neighbour)[0] as string) === [...keys][0]
  }))
  t.end()
})
