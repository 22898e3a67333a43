#include <doctest/doctest.h>

#include <cstdlib>
#include <msgpack.hpp>
#include <random>

#include "gossip/codec.h"
#include "gossip_filler.h"
#include "gossip_stuffer.h"

using namespace ringagent;
using test::filled;
using test::filled_message;
using test::kKinds;
using test::Stuffer;

namespace {

std::string hex(std::string_view bytes) {
  static const char* digits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out += digits[static_cast<unsigned char>(c) >> 4U];
    out += digits[static_cast<unsigned char>(c) & 15U];
  }
  return out;
}

Ping small_ping() {
  Ping ping;
  ping.seq = 70000;
  ping.facts_mark = 0x23;
  return ping;
}

Message at_epoch(std::uint64_t epoch, Body body) {
  Message m;
  m.head.epoch = epoch;
  m.head.mark = 0xCDCDCDCD;
  m.body = std::move(body);
  return m;
}

// The number of members of an aggregate: the largest number of initialisers that it takes.
struct Anything {
  template <class T>
  operator T() const {  // NOLINT: implicit on purpose, never called
    std::abort();
  }
};
template <class T, class... A>
constexpr std::size_t members_of() {
  if constexpr (requires { T{A{}..., Anything{}}; }) {
    return members_of<T, A..., Anything>();
  } else {
    return sizeof...(A);
  }
}
template <class T>
std::size_t listed() {
  Counter counter;
  T value;
  fields(counter, value);
  return counter.count();
}

template <class T>
std::pair<std::string, std::size_t> stuffed(const T& value, std::size_t victim, std::size_t extra) {
  Stuffer stuffer(victim, extra);
  stuffer(value);
  return {stuffer.bytes(), stuffer.places()};
}

// Two versions of one struct.
struct Old {
  std::uint32_t a = 0;
  std::string b;
};
struct New {
  std::uint32_t a = 0;
  std::string b;
  std::uint32_t c = 7;
  std::vector<std::string> d;
};
template <class A, Of<Old> T>
void fields(A& a, T& x) {
  a(x.a);
  a.text(x.b, 100);
}
template <class A, Of<New> T>
void fields(A& a, T& x) {
  a(x.a);
  a.text(x.b, 100);
  a.appended([&] { a(x.c); });
  a.appended([&] { a.texts(x.d, 10, 10); });
}
template <class T>
std::string written(const T& value) {
  Writer writer(true);
  writer(value);
  return writer.take();
}

// [1, "b", <the packed value>] read as Old: is the third field, unknown to it, skipped?
template <class F>
std::optional<Error> read_with_unknown_field(F pack_value) {
  msgpack::sbuffer buffer;
  msgpack::packer<msgpack::sbuffer> pack(buffer);
  pack.pack_array(3);
  pack.pack(1);
  pack.pack("b");
  pack_value(pack);
  Reader reader({buffer.data(), buffer.size()});
  Old old;
  reader(old);
  return reader.finish();
}

}  // namespace

TEST_CASE("codec: every member of every struct stands in the list of fields") {
  const auto filled_record = filled<NodeRecord>(1);
  CHECK(listed<Address>() == members_of<Address>());
  CHECK(listed<Stamp>() == members_of<Stamp>());
  CHECK(listed<Head>() == members_of<Head>());
  CHECK(listed<LinkFact>() == members_of<LinkFact>());
  CHECK(listed<EdgeFact>() == members_of<EdgeFact>());
  CHECK(listed<ProblemFact>() == members_of<ProblemFact>());
  Counter whole;
  fields(whole, filled_record);
  CHECK(whole.count() == members_of<NodeRecord>() - 1);         // `later` is as many fields as there are
  CHECK(listed<NodeRecord>() == members_of<NodeRecord>() - 3);  // what belongs to one writer stays away where all write
  CHECK(listed<LeaseAsk>() == members_of<LeaseAsk>());
  CHECK(listed<LeaseGrant>() == members_of<LeaseGrant>());
  CHECK(listed<DigestEntry>() == members_of<DigestEntry>());
  CHECK(listed<Facts>() == members_of<Facts>());
  CHECK(listed<AskRecord>() == members_of<AskRecord>());
  CHECK(listed<Incarnation>() == members_of<Incarnation>());
  CHECK(listed<Rumour>() == members_of<Rumour>());
  CHECK(listed<Ping>() == members_of<Ping>() - 1);  // without rumours none are listed
  CHECK(listed<Ack>() == members_of<Ack>() - 1);
  CHECK(listed<Turn>() == members_of<Turn>() - 1);
  CHECK(listed<PingReq>() == members_of<PingReq>());
  CHECK(listed<PingReqAnswer>() == members_of<PingReqAnswer>());
  CHECK(listed<Ballot>() == members_of<Ballot>());
  CHECK(listed<Instance>() == members_of<Instance>());
  CHECK(listed<Candidate>() == members_of<Candidate>());
  CHECK(listed<StoreVersion>() == members_of<StoreVersion>());
  CHECK(listed<Prepare>() == members_of<Prepare>());
  CHECK(listed<Promise>() == members_of<Promise>());
  CHECK(listed<Accept>() == members_of<Accept>());
  CHECK(listed<Accepted>() == members_of<Accepted>());
  CHECK(listed<Reject>() == members_of<Reject>());
  CHECK(listed<Decided>() == members_of<Decided>());
  CHECK(listed<Pull>() == members_of<Pull>());
  CHECK(listed<ConfirmHead>() == members_of<ConfirmHead>());
  CHECK(listed<HeadConfirmed>() == members_of<HeadConfirmed>());
  CHECK(listed<CanvassItem>() == members_of<CanvassItem>());
  CHECK(listed<Canvass>() == members_of<Canvass>());
  CHECK(listed<CanvassAnswer>() == members_of<CanvassAnswer>());
  CHECK(listed<Hello>() == members_of<Hello>());
  CHECK(listed<DurableState>() == members_of<DurableState>());
}

TEST_CASE("codec: every kind of message comes back as it went, filled and empty") {
  for (std::size_t kind = 0; kind < kKinds; ++kind) {
    CAPTURE(kind);
    const Message empty{{}, test::empty_body(kind)};
    REQUIRE(decode(encode(empty)).has_value());
    CHECK(*decode(encode(empty)) == empty);
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
      const Message message = filled_message(kind, seed);
      const auto back = decode(encode(message));
      REQUIRE_MESSAGE(back.has_value(), back.error().text);
      CHECK(*back == message);
    }
  }
}

TEST_CASE("codec: a record and the durable state come back as they went") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    const auto record = filled<NodeRecord>(seed);
    REQUIRE(decode_record(encode(record)).has_value());
    CHECK(*decode_record(encode(record)) == record);
    const auto state = filled<DurableState>(seed);
    REQUIRE(decode_state(encode(state)).has_value());
    CHECK(*decode_state(encode(state)) == state);
  }
  NodeRecord before_1970;
  before_1970.started_unix_s = -5'000'000'000;
  CHECK(*decode_record(encode(before_1970)) == before_1970);
}

TEST_CASE("codec: the bytes of a ping are fixed, so that old and new agents understand each other") {
  const std::string bytes = encode(at_epoch(7, small_ping()));
  // [gen epoch] 950007, [head's mark] cecdcdcdcd, [kind] 00, [seq] 92ce00011170, [facts' mark] 23; no rumours
  CHECK(hex(bytes) == "950007cecdcdcdcd0092ce0001117023");
  // And the library reads what our packer and reader agree upon.
  const msgpack::object_handle handle = msgpack::unpack(bytes.data(), bytes.size());
  CHECK(handle.get().type == msgpack::type::ARRAY);
  CHECK(handle.get().via.array.ptr[4].via.array.ptr[0].as<std::uint64_t>() == 70000);
}

TEST_CASE("codec: ping, ack and turn are small, for they are most of what is ever said") {
  CHECK(encode(at_epoch(100, small_ping())).size() <= 18);
  CHECK(encode(at_epoch(100, Ack{70000, {}})).size() <= 17);
  CHECK(encode(at_epoch(100, Turn{70000, 100, 0x23, {}})).size() <= 19);
}

TEST_CASE("codec: a message cut short anywhere is an error, and so is one byte too many") {
  for (std::size_t kind = 0; kind < kKinds; ++kind) {
    const std::string bytes = encode(filled_message(kind, kind + 1));
    for (std::size_t n = 0; n < bytes.size(); ++n) REQUIRE_FALSE(decode(std::string_view(bytes).substr(0, n)));
    CHECK_FALSE(decode(bytes + '\0'));
  }
  const std::string state = encode(filled<DurableState>(3));
  for (std::size_t n = 0; n < state.size(); ++n) REQUIRE_FALSE(decode_state(std::string_view(state).substr(0, n)));
}

TEST_CASE("codec: mutated messages are read or refused, never more") {
  std::mt19937_64 random(20240607);
  std::size_t readable = 0;
  for (int i = 0; i < 40000; ++i) {
    std::string bytes = encode(filled_message(random() % kKinds, random() % 8));
    for (std::uint64_t n = 1 + random() % 4; n > 0; --n) bytes[random() % bytes.size()] = static_cast<char>(random());
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    const auto message = decode(bytes);
    if (!message) continue;
    ++readable;
    const auto again = decode(encode(*message));
    REQUIRE(again.has_value());
    REQUIRE(*again == *message);
  }
  CHECK(readable > 1000);  // else the loop tests nothing but the first check
}

TEST_CASE("codec: every limit of every field holds at limit + 1 and lets the limit itself pass") {
  const auto check = [](const auto& value, auto decode_it) {
    const std::size_t places = stuffed(value, ~0ULL, 0).second;
    for (std::size_t place = 0; place < places; ++place) {
      CAPTURE(place);
      const auto within = decode_it(stuffed(value, place, 0).first);
      CHECK_MESSAGE(within.has_value(), within.error().text);
      const auto beyond = decode_it(stuffed(value, place, 1).first);
      REQUIRE_FALSE(beyond.has_value());
      CHECK(beyond.error().text.find("too long") != std::string::npos);
    }
    return places;
  };
  std::size_t places = 0;
  for (std::size_t kind = 0; kind < kKinds; ++kind) {
    CAPTURE(kind);
    Message message = filled_message(kind, 5);
    if (auto* decided = std::get_if<Decided>(&message.body)) decided->configs = {"a", "b"};
    places += check(message, [](const std::string& bytes) { return decode(bytes); });
  }
  DurableState state = filled<DurableState>(5);
  state.chain = {"a"};
  places += check(state, [](const std::string& bytes) { return decode_state(bytes); });
  CHECK(places > 80);
}

TEST_CASE("codec: a message of more than 4 MB is not even looked at") {
  const auto result = decode(std::string(kMessageBytesMax + 1, '\x90'));
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().text.find("longer than") != std::string::npos);
}

TEST_CASE("codec: sizes that lie are refused before anything is allocated") {
  // An Accept whose value claims 4 GB, a Ping whose rumours claim 4 billion, in a handful of bytes.
  const std::string head("\x95\x00\x01\x00", 4);
  auto accept = decode(head + std::string("\x08\x93\x93\x00\x00\xC0\x92\x01\xC0\xC6\xFF\xFF\xFF\xFF", 14));
  REQUIRE_FALSE(accept.has_value());
  CHECK(accept.error().text.find("binary too long") != std::string::npos);
  auto ping = decode(head + std::string("\x00\x93\x01\x01\xDD\xFF\xFF\xFF\xFF", 9));
  REQUIRE_FALSE(ping.has_value());
  CHECK(ping.error().text.find("array too long") != std::string::npos);
  // Within the limit, but more elements than there are bytes.
  auto facts = decode(head + std::string("\x04\x93\xDC\x04\x00\x90\xC2", 7));
  REQUIRE_FALSE(facts.has_value());
  CHECK(facts.error().text.find("truncated") != std::string::npos);
}

TEST_CASE("codec: an older agent skips the fields of a newer one") {
  New value{5, "five", 6, {"x", "y"}};
  Reader reader(std::string_view{});
  const std::string bytes = written(value);
  reader = Reader(bytes);
  Old old;
  reader(old);
  CHECK_FALSE(reader.finish());
  CHECK(old.a == 5);
  CHECK(old.b == "five");
}

TEST_CASE("codec: an older agent hands the fields of a newer one on") {
  NodeRecord record = filled<NodeRecord>(3);
  Writer fields(false);
  fields(std::uint64_t{7});
  fields(record.gossip);
  record.later = {2, fields.take()};
  const std::string bytes = encode(record);
  const auto read = decode_record(bytes);
  REQUIRE(read);
  CHECK(*read == record);
  CHECK(encode(*read) == bytes);
  NodeRecord plain;  // with nothing appended but what is unknown
  plain.later = record.later;
  CHECK(*decode_record(encode(plain)) == plain);
  record.later = {1, std::string(kLaterBytesMax + 1, 7)};
  record.later.count = record.later.bytes.size();  // small numbers, a byte each
  CHECK_FALSE(decode_record(encode(record)));      // a struct of so many fields is none
  record.later = {1, ""};
  Writer text(false);
  text.text(std::string(kLaterBytesMax, 'x'), kLaterBytesMax);
  record.later.bytes = text.take();
  const auto without = decode_record(encode(record));
  REQUIRE(without);
  CHECK(without->later == LaterFields{});  // too long to be handed on
}

TEST_CASE("codec: a newer agent keeps the defaults of fields that an older one did not send") {
  const std::string bytes = written(Old{5, "five"});
  Reader reader(bytes);
  New value;
  reader(value);
  CHECK_FALSE(reader.finish());
  CHECK(value.b == "five");
  CHECK(value.c == 7);
  CHECK(value.d.empty());
  // But what was never optional must be there.
  Reader missing(std::string_view("\x91\x05", 2));
  missing(value);
  const auto error = missing.finish();
  REQUIRE(error);
  CHECK(error->text.find("too few fields") != std::string::npos);
}

TEST_CASE("codec: whatever msgpack can say is skipped where it is not known") {
  using Pack = msgpack::packer<msgpack::sbuffer>;
  CHECK_FALSE(read_with_unknown_field([](Pack& p) { p.pack_nil(); }));
  CHECK_FALSE(read_with_unknown_field([](Pack& p) { p.pack(true); }));
  CHECK_FALSE(read_with_unknown_field([](Pack& p) { p.pack(-1); }));
  CHECK_FALSE(read_with_unknown_field([](Pack& p) { p.pack(1.5F); }));
  CHECK_FALSE(read_with_unknown_field([](Pack& p) { p.pack(1.5); }));
  for (const std::uint64_t n : {1ULL, 200ULL, 60000ULL, 1ULL << 31U, 1ULL << 63U}) {
    CHECK_FALSE(read_with_unknown_field([&](Pack& p) { p.pack(n); }));
    CHECK_FALSE(read_with_unknown_field([&](Pack& p) { p.pack(-static_cast<std::int64_t>(n >> 1U)); }));
  }
  for (const std::size_t n : {0U, 20U, 31U, 32U, 255U, 256U, 65535U, 65536U}) {
    CHECK_FALSE(read_with_unknown_field([&](Pack& p) { p.pack(std::string(n, 'x')); }));
    CHECK_FALSE(read_with_unknown_field([&](Pack& p) { p.pack(std::vector<char>(n, 'x')); }));
    CHECK_FALSE(read_with_unknown_field([&](Pack& p) { p.pack(std::vector<int>(n, 500)); }));
    CHECK_FALSE(read_with_unknown_field([&](Pack& p) {
      std::map<int, std::string> map;
      for (std::size_t i = 0; i < n; ++i) map[static_cast<int>(i)] = "v";
      p.pack(map);
    }));
  }
  for (const std::size_t n : {1U, 2U, 4U, 8U, 16U, 3U, 300U, 70000U}) {
    CHECK_FALSE(read_with_unknown_field([&](Pack& p) {
      p.pack_ext(n, 42);
      p.pack_ext_body(std::string(n, 'x').data(), static_cast<std::uint32_t>(n));
    }));
  }
  const auto nested = [](std::size_t depth) {
    return read_with_unknown_field([=](Pack& p) {
      for (std::size_t i = 0; i < depth; ++i) p.pack_array(1);
      p.pack(1);
    });
  };
  CHECK_FALSE(nested(kNestingMax));
  REQUIRE(nested(kNestingMax + 1));
  CHECK(nested(kNestingMax + 1)->text.find("nested too deeply") != std::string::npos);
  CHECK(nested(100000));
}

TEST_CASE("codec: what a newer agent names with a number of its own") {
  Message canvass = at_epoch(1, Canvass{1, {}, {{NodeId{}, Evidence::silent}}});
  std::string bytes = encode(canvass);
  REQUIRE(bytes.back() == '\x06');
  bytes.back() = '\x70';
  // An evidence class that we do not know is none: nobody concurs with it.
  REQUIRE(decode(bytes).has_value());
  CHECK(std::get<Canvass>(decode(bytes)->body).items[0].evidence == Evidence::none);
  // An opinion that we do not know is no consent.
  bytes = encode(at_epoch(1, CanvassAnswer{1, Opinion::concur, ""}));
  bytes[bytes.size() - 2] = '\x09';
  REQUIRE(decode(bytes).has_value());
  CHECK(std::get<CanvassAnswer>(decode(bytes)->body).opinion == Opinion::abstain);
  // A liveness cannot be guessed, nor can a kind of message.
  Ack ack;
  ack.rumours.push_back({NodeId{}, Liveness::left, {1, 1}, NodeId{}});
  bytes = encode(at_epoch(1, ack));
  const std::size_t state = bytes.size() - 5;
  REQUIRE(bytes[state] == '\x03');
  bytes[state] = '\x04';
  CHECK_FALSE(decode(bytes).has_value());
  bytes = encode(at_epoch(1, Pull{}));
  const std::size_t kind = 1 + 1 + 1 + 5;
  REQUIRE(bytes[kind] == '\x0C');
  bytes[kind] = static_cast<char>(kKinds);
  REQUIRE_FALSE(decode(bytes).has_value());
  CHECK(decode(bytes).error().text.find("number too large") != std::string::npos);
}

TEST_CASE("codec: numbers that do not fit their field are refused") {
  Reader port(std::string_view("\x92\xA1x\xCD\xFF\xFF", 6));
  Address address;
  port(address);
  CHECK_FALSE(port.finish());
  Reader large(std::string_view("\x92\xA1x\xCE\x00\x01\x00\x00", 8));
  large(address);
  CHECK(large.finish());
  Reader negative(std::string_view("\x92\xA1x\xFF", 4));
  negative(address);
  CHECK(negative.finish());
  std::int64_t number = 0;
  Reader beyond(std::string_view("\xCF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 9));
  beyond(number);
  CHECK(beyond.finish());
}

TEST_CASE("codec: what is too long for the wire is clipped, a position is never halved") {
  NodeRecord record;
  record.health_why = std::string(kTextBytesMax - 1, 'x') + "\xC3\xA4";  // an umlaut across the limit
  record.executed = std::string(kPositionBytesMax, 'p');
  record.purged = std::string(kPositionBytesMax + 1, 'p');
  record.links.resize(kLinksMax + 3);
  const auto back = decode_record(encode(record));
  REQUIRE(back.has_value());
  CHECK(back->health_why == std::string(kTextBytesMax - 1, 'x'));
  CHECK(back->executed == record.executed);
  CHECK(back->purged.empty());
  CHECK(back->links.size() == kLinksMax);
}

TEST_CASE("codec: pieces that exceed a message are halved until they fit") {
  Decided decided;
  decided.configs.assign(20, std::string(kConfigBytesMax / 2, 'c'));
  decided.configs[0][0] = 'f';
  const std::string bytes = encode(at_epoch(1, decided));
  CHECK(bytes.size() <= kMessageBytesMax);
  const auto back = decode(bytes);
  REQUIRE(back.has_value());
  CHECK(std::get<Decided>(back->body).configs.size() == 5);
  CHECK(std::get<Decided>(back->body).configs[0] == decided.configs[0]);  // the oldest go first
  Facts facts;
  facts.records.resize(200);
  for (auto& record : facts.records) record.executed = std::string(kPositionBytesMax, 'p');
  const auto some = decode(encode(at_epoch(1, facts)));
  REQUIRE(some.has_value());
  CHECK(std::get<Facts>(some->body).records.size() == 50);
}
