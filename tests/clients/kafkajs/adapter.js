// An adapter of kafkajs for the suite beside it: one JSON object a line on stdin is an operation, answers and events go to
// stdout. ../README.md lists the operations.
//
// kafkajs has no consumer without a group: `read` joins one of its own and seeks.

const readline = require('readline')
const { AssignerProtocol, CompressionCodecs, CompressionTypes, Kafka, logLevel } = require('kafkajs')
const lz4 = require('lz4-napi')
const { ZstdCodec } = require('zstd-codec')

CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: encoder => lz4.compressFrame(encoder.buffer),
  decompress: buffer => lz4.decompressFrame(buffer),
})
const zstd = new Promise(resolve => ZstdCodec.run(library => resolve(new library.Simple())))
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => Buffer.from((await zstd).compress(encoder.buffer)),
  decompress: async buffer => Buffer.from((await zstd).decompress(buffer)),
})
const CODECS = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy, lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD }

process.env.KAFKAJS_NO_PARTITIONER_WARNING = '1'
const kafka = new Kafka({
  clientId: 'suite',
  brokers: [process.env.BROKER],
  logLevel: logLevel.WARN,
  logCreator: () => ({ namespace, log }) => process.stderr.write(`${namespace} ${JSON.stringify(log)}\n`),
})

const say = what => process.stdout.write(JSON.stringify(what) + '\n')

// Kafka's code, or -1000 for what has none. kafkajs wraps the error that it gave up on.
function failure(error) {
  for (let e = error; e; e = e.cause || e.originalError || (e.errors || e.groups || [])[0]) {
    const code = e.errorCode || e.code
    if (typeof code === 'number') return { error: code, text: String(e.message || e.type) }
  }
  return { error: -1000, text: String(error && error.stack) }
}

const text = data => (data === null || data === undefined ? null : data.toString())

function told(topic, partition, message) {
  const headers = Object.entries(message.headers || {}).map(([key, value]) => [key, text(value)])
  return { t: topic, p: partition, o: Number(message.offset), k: text(message.key), v: text(message.value), ts: Number(message.timestamp), h: headers }
}

async function produce(r) {
  const producer = kafka.producer({ idempotent: r.idempotent, maxInFlightRequests: r.idempotent ? 1 : null })
  await producer.connect()
  try {
    const messages = r.records.map(m => ({
      partition: m.p, key: m.k, value: m.v, timestamp: m.ts === undefined ? undefined : String(m.ts), headers: Object.fromEntries(m.h || []),
    }))
    const acks = r.acks === 'all' ? -1 : Number(r.acks)
    const placed = await producer.send({ topic: r.topic, acks, compression: CODECS[r.codec], messages })
    // One answer a partition, with the offset of the first record that went there.
    const next = new Map((placed || []).map(p => [p.partition, Number(p.baseOffset)]))
    const offsets = r.records.map(m => {
      const offset = next.has(m.p) ? next.get(m.p) : -1
      if (offset >= 0) next.set(m.p, offset + 1)
      return [m.p, offset]
    })
    return { offsets }
  } finally {
    await producer.disconnect()
  }
}

async function withAdmin(work) {
  const admin = kafka.admin({ retry: { retries: 3 } })
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.disconnect()
  }
}

async function place(r) {
  const find = list => Number(list.find(p => p.partition === r.partition)[r.end === undefined ? 'offset' : 'high'])
  if (r.offset !== undefined) return r.offset
  if (r.end !== undefined) return withAdmin(async admin => find(await admin.fetchTopicOffsets(r.topic)) - r.end)
  if (r.timestamp !== undefined) return withAdmin(async admin => find(await admin.fetchTopicOffsetsByTimestamp(r.topic, r.timestamp)))
  return withAdmin(async admin => Number((await admin.fetchTopicOffsets(r.topic)).find(p => p.partition === r.partition).low))
}

async function read(r) {
  const from = await place(r)
  const consumer = kafka.consumer({ groupId: `read-${process.pid}-${Date.now()}-${Math.random()}`, maxWaitTimeInMs: 100, sessionTimeout: 10000 })
  await consumer.connect()
  await consumer.subscribe({ topics: [r.topic], fromBeginning: true })
  const records = []
  let done
  const full = new Promise(resolve => { done = resolve })
  const patience = setTimeout(done, r.timeout_ms)
  let sought = false
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ topic, partition, message }) => {
      if (!sought || partition !== r.partition || records.length >= r.count) return
      records.push(told(topic, partition, message))
      if (records.length === r.count) done()
    },
  })
  consumer.seek({ topic: r.topic, partition: r.partition, offset: String(from) })
  sought = true
  await full
  clearTimeout(patience)
  await consumer.disconnect()
  return { records }
}

// The consumer of this process that is in a group, what it owns, and where it stands.
let member
let owned = []
const positions = new Map()

async function join(r) {
  member = kafka.consumer({
    groupId: r.group, sessionTimeout: r.session_ms, rebalanceTimeout: Math.max(30000, r.session_ms), heartbeatInterval: Math.min(500, Math.floor(r.session_ms / 3)),
    maxWaitTimeInMs: 100, metadataMaxAge: 60000, retry: { retries: 8 },
  })
  const forget = event => {
    if (owned.length > 0) say({ event, partitions: owned })
    owned = []
    positions.clear()
  }
  member.on(member.events.REBALANCING, () => forget('revoked'))
  member.on(member.events.GROUP_JOIN, ({ payload }) => {
    forget('revoked')
    owned = Object.entries(payload.memberAssignment).flatMap(([topic, partitions]) => partitions.map(p => [topic, p]))
    say({ event: 'assigned', partitions: owned })
  })
  member.on(member.events.CRASH, ({ payload }) => say({ event: 'error', ...failure(payload.error) }))
  await member.connect()
  await member.subscribe({ topics: r.topics, fromBeginning: r.reset === 'earliest' })
  await member.run({
    autoCommit: r.auto_commit,
    eachMessage: async ({ topic, partition, message }) => {
      positions.set(JSON.stringify([topic, partition]), Number(message.offset) + 1)
      say({ event: 'record', ...told(topic, partition, message) })
    },
  })
  return {}
}

async function commit(r) {
  const offsets = r.offsets || [...positions].map(([where, offset]) => [...JSON.parse(where), offset])
  await member.commitOffsets(offsets.map(([topic, partition, offset]) => ({ topic, partition, offset: String(offset) })))
  return {}
}

async function describeGroup(admin, group) {
  const found = (await admin.describeGroups([group])).groups[0]
  const members = found.members.map(m => {
    const assigned = AssignerProtocol.MemberAssignment.decode(m.memberAssignment)
    return { id: m.memberId, partitions: Object.entries(assigned ? assigned.assignment : {}).flatMap(([t, list]) => list.map(p => [t, p])) }
  })
  return { state: found.state, members }
}

async function offsetAt(admin, r) {
  const mine = list => list.find(p => p.partition === r.partition)
  if (r.at === 'begin') return Number(mine(await admin.fetchTopicOffsets(r.topic)).low)
  if (r.at === 'end') return Number(mine(await admin.fetchTopicOffsets(r.topic)).high)
  return Number(mine(await admin.fetchTopicOffsetsByTimestamp(r.topic, r.at)).offset)
}

const administer = {
  create_topic: async (admin, r) => {
    const configEntries = Object.entries(r.configs).map(([name, value]) => ({ name, value }))
    const made = await admin.createTopics({ waitForLeaders: false, topics: [{ topic: r.topic, numPartitions: r.partitions, replicationFactor: 1, configEntries }] })
    // kafkajs turns this one error into `false`.
    return made ? {} : { error: 36, text: 'createTopics returned false' }
  },
  delete_topic: async (admin, r) => {
    await admin.deleteTopics({ topics: [r.topic] })
    return {}
  },
  topics: async admin => ({ topics: await admin.listTopics() }),
  describe_topic: async (admin, r) => ({ partitions: (await admin.fetchTopicMetadata({ topics: [r.topic] })).topics[0].partitions.length }),
  topic_config: async (admin, r) => {
    const found = await admin.describeConfigs({ includeSynonyms: false, resources: [{ type: 2, name: r.topic, configNames: [r.key] }] })
    return { value: found.resources[0].configEntries[0].configValue }
  },
  offsets: async (admin, r) => ({ offset: await offsetAt(admin, r) }),
  groups: async admin => ({ groups: (await admin.listGroups()).groups.map(g => g.groupId) }),
  describe_group: (admin, r) => describeGroup(admin, r.group),
  delete_group: async (admin, r) => {
    await admin.deleteGroups([r.group])
    return {}
  },
  committed: async (admin, r) => {
    const [found] = await admin.fetchOffsets({ groupId: r.group, topics: [r.topic] })
    return { offset: Number(found.partitions.find(p => p.partition === r.partition).offset) }
  },
  set_offset: async (admin, r) => {
    await admin.setOffsets({ groupId: r.group, topic: r.topic, partitions: [{ partition: r.partition, offset: String(r.offset) }] })
    return {}
  },
}

const single = {
  produce, read, join, commit,
  seek: async r => {
    member.seek({ topic: r.topic, partition: r.partition, offset: String(r.offset) })
    return {}
  },
  leave: async () => {
    await member.disconnect()
    return {}
  },
}

async function run(r) {
  if (single[r.op]) return single[r.op](r)
  if (administer[r.op]) return withAdmin(admin => administer[r.op](admin, r))
  throw new Error(`no operation ${r.op}`)
}

readline.createInterface({ input: process.stdin })
  .on('line', async line => {
    const r = JSON.parse(line)
    let answer
    try {
      answer = await run(r)
    } catch (error) {
      answer = failure(error)
    }
    say({ ...answer, id: r.id })
  })
  .on('close', () => process.exit(0))
