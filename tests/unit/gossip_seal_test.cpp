#include <doctest/doctest.h>

#include <random>
#include <set>

#include "gossip/codec.h"
#include "gossip/seal.h"
#include "gossip/seal_key.h"

using namespace ringagent;

namespace {

Uuid id(std::uint8_t n) {
  Uuid uuid;
  uuid.bytes.fill(n);
  return uuid;
}

const ClusterId kShop = id(0xC1);
const ClusterId kOther = id(0xC2);
const std::vector<ClusterId> kAccepted = {kShop};

std::string key_line(char c) {
  // 32 equal bytes in base64, made by hand so that the tests depend on no randomness.
  return c == 'A' ? "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=\n" : "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI=\n";
}

KeyRing ring(const std::string& text) {
  const auto keys = KeyRing::parse(text);
  REQUIRE_MESSAGE(keys.has_value(), keys.error().text);
  return *keys;
}

Sealer node(std::uint8_t n, std::uint32_t boot = 1, std::uint64_t first = 1000,
            const std::string& keys = key_line('A')) {
  return {id(n), boot, first, ring(keys)};
}

Refusal refusal(Sealer& sealer, std::string_view packet) {
  const auto opened = sealer.open(packet, kAccepted);
  REQUIRE_FALSE(opened.has_value());
  return opened.error();
}

bool opens(Sealer& sealer, std::string_view packet) {
  return sealer.open(packet, kAccepted).has_value();
}

std::string fault(const std::string& text) {
  const auto keys = KeyRing::parse(text);
  REQUIRE_FALSE(keys.has_value());
  return keys.error().text;
}

}  // namespace

TEST_CASE("seal: what one member seals another opens, and learns who sent it") {
  Sealer a = node(1, 7);
  Sealer b = node(2);
  for (const std::string& body : {std::string(), std::string("hello"), std::string(100000, 'x')}) {
    const auto opened = b.open(a.seal(kShop, body), kAccepted);
    REQUIRE(opened.has_value());
    CHECK(opened->sender == id(1));
    CHECK(opened->boot == 7);
    CHECK(opened->cluster == kShop);
    CHECK(opened->body == body);
  }
  CHECK(a.seal(kShop, "hello").size() == 5 + kSealBytes);
  CHECK(a.seal(kShop, "secret word").find("secret") == std::string::npos);
}

TEST_CASE("seal: a ping, and a turn, take at most 50 bytes") {
  Message message;
  message.head.epoch = 60000;
  message.head.mark = ~0U;
  message.body = Ping{~0U, 127, {}};
  Sealer a = node(1);
  CHECK(a.seal(kShop, encode(message), true).size() <= 50);
  message.body = Turn{~0U, 100, 127, {}};
  CHECK(a.seal(kShop, encode(message), true).size() <= 50);
}

TEST_CASE(
    "seal: a short envelope opens where a long one of the same life, key and cluster was opened, and nowhere else") {
  const std::string keys = key_line('A') + key_line('B');
  Sealer a = node(1, 1, 0xFFFFFFF0, keys);
  Sealer b = node(2, 1, 1000, keys);
  CHECK(refusal(b, a.seal(kShop, "x", true)) == Refusal::unknown_hint);
  CHECK(opens(b, a.seal(kShop, "long")));
  for (int i = 0; i < 100; ++i) {  // over the edge of the low half of the counter
    const auto opened = b.open(a.seal(kShop, "short", true), kAccepted);
    REQUIRE(opened.has_value());
    CHECK(opened->brief);
    CHECK(opened->sender == id(1));
    CHECK(opened->boot == 1);
    CHECK(opened->cluster == kShop);
    CHECK(opened->body == "short");
  }
  CHECK(a.seal(kShop, "short", true).size() == 5 + kBriefBytes);
  const std::string twice = a.seal(kShop, "x", true);
  CHECK(opens(b, twice));
  CHECK(refusal(b, twice) == Refusal::replayed);
  std::string bent = a.seal(kShop, "x", true);
  for (std::size_t i = 0; i < bent.size(); ++i) {
    std::string bad = bent;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    CAPTURE(i);
    CHECK_FALSE(opens(b, bad));
  }
  CHECK(opens(b, bent));

  CHECK(refusal(b, a.seal(kOther, "x", true)) == Refusal::unknown_hint);
  Sealer later = node(1, 2, 1000, keys);
  CHECK(refusal(b, later.seal(kShop, "x", true)) == Refusal::unknown_hint);
  CHECK(opens(b, later.seal(kShop, "x")));
  CHECK(opens(b, later.seal(kShop, "x", true)));
  CHECK(refusal(b, a.seal(kShop, "x", true)) == Refusal::unknown_hint);  // the earlier life
  later.set_keys(ring(key_line('B') + key_line('A')));
  CHECK(refusal(b, later.seal(kShop, "x", true)) == Refusal::unknown_hint);
  CHECK(opens(b, later.seal(kShop, "x")));
  CHECK(opens(b, later.seal(kShop, "x", true)));
}

TEST_CASE("seal: short envelopes in any order, and in insecure mode") {
  Sealer a(id(1), 1, 0xFFFFFFFFFF, KeyRing::insecure());
  Sealer b(id(2), 1, 1, KeyRing::insecure());
  std::vector<std::string> packets;
  for (int i = 0; i < 50; ++i) packets.push_back(a.seal(kShop, std::to_string(i), true));
  CHECK(opens(b, a.seal(kShop, "long")));  // numbered after them: they are late, across the edge
  for (std::size_t i = packets.size(); i-- > 0;) {
    const auto opened = b.open(packets[i], kAccepted);
    REQUIRE(opened.has_value());
    CHECK(opened->body == std::to_string(i));
  }
  packets[0].back() = static_cast<char>(packets[0].back() ^ 1);
  CHECK(refusal(b, packets[0]) == Refusal::forged);
}

TEST_CASE("seal: a packet with any bit turned over, or any byte missing, is refused, and harms nothing") {
  Sealer a = node(1);
  Sealer b = node(2);
  const std::string packet = a.seal(kShop, "body");
  for (std::size_t bit = 0; bit < 8 * packet.size(); ++bit) {
    std::string bad = packet;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    CAPTURE(bit);
    CHECK_FALSE(opens(b, bad));
  }
  for (std::size_t n = 0; n < packet.size(); ++n) CHECK_FALSE(opens(b, packet.substr(0, n)));
  CHECK_FALSE(opens(b, packet + "x"));
  CHECK(opens(b, packet));  // no forgery has moved the window
}

TEST_CASE("seal: each refusal says what it is") {
  Sealer a = node(1);
  Sealer b = node(2);
  CHECK(refusal(b, "short") == Refusal::malformed);
  CHECK(refusal(b, std::string(kSealBytes, '\x03')) == Refusal::malformed);
  CHECK(refusal(b, std::string(kBriefBytes - 1, '\x02')) == Refusal::malformed);
  CHECK(refusal(b, a.seal(kOther, "x")) == Refusal::unknown_cluster);
  Sealer stranger = node(3, 1, 1, key_line('B'));
  CHECK(refusal(b, stranger.seal(kShop, "x")) == Refusal::unknown_key);
  std::string packet = a.seal(kShop, "x");
  packet.back() = static_cast<char>(packet.back() ^ 1);
  CHECK(refusal(b, packet) == Refusal::forged);
  CHECK(std::string(to_string(Refusal::clone)) == "clone");
}

TEST_CASE("seal: a packet of one cluster is not one of another, even under the same key") {
  Sealer a = node(1);
  Sealer b = node(2);
  std::string packet = a.seal(kOther, "x");
  for (std::size_t i = 0; i < 16; ++i) packet[5 + i] = static_cast<char>(kShop.bytes[i]);  // relabelled
  CHECK(refusal(b, packet) == Refusal::forged);
  CHECK(b.open(a.seal(kOther, "x"), std::vector<ClusterId>{kShop, kOther}).has_value());
}

TEST_CASE("seal: before there is a cluster id, packets are bound to the cluster's name") {
  CHECK(name_cluster_id("shop") == name_cluster_id("shop"));
  CHECK(name_cluster_id("shop") != name_cluster_id("shop2"));
  CHECK_FALSE(name_cluster_id("").nil());
}

TEST_CASE("seal: no header, and so no nonce, comes twice") {
  Sealer a = node(1);
  std::set<std::string> headers;
  for (int i = 0; i < 1000; ++i) {
    headers.insert(a.seal(kShop, "same").substr(0, kSealHeaderBytes));
    headers.insert(a.seal(name_cluster_id("shop"), "same").substr(0, kSealHeaderBytes));
  }
  CHECK(headers.size() == 2000);
  Sealer later = node(1, 2);
  headers.insert(later.seal(kShop, "same").substr(0, kSealHeaderBytes));
  CHECK(headers.size() == 2001);
  // The same words look different each time.
  CHECK(a.seal(kShop, "same").substr(kSealHeaderBytes) != a.seal(kShop, "same").substr(kSealHeaderBytes));
}

TEST_CASE("seal: the first counter leaves room for 2^63 packets") {
  Sealer a = node(1, 1, ~0ULL);
  Sealer b = node(2);
  CHECK(opens(b, a.seal(kShop, "x")));
  CHECK(opens(b, a.seal(kShop, "x")));
}

TEST_CASE("seal: a repeated packet is refused, a reordered one is not, until it is too old") {
  Sealer a = node(1);
  Sealer b = node(2);
  std::vector<std::string> packets;
  for (std::uint64_t i = 0; i < 3 * kReplayWindow; ++i) packets.push_back(a.seal(kShop, "x"));
  CHECK(opens(b, packets[2000]));
  CHECK(refusal(b, packets[2000]) == Refusal::replayed);
  CHECK(opens(b, packets[2000 - kReplayWindow + 1]));  // the last one in the window
  CHECK(refusal(b, packets[2000 - kReplayWindow + 1]) == Refusal::replayed);
  CHECK(refusal(b, packets[2000 - kReplayWindow]) == Refusal::too_old);
  CHECK(opens(b, packets[2001]));
  CHECK(refusal(b, packets[2000]) == Refusal::replayed);
  CHECK(refusal(b, packets[2001 - kReplayWindow]) == Refusal::too_old);
}

TEST_CASE("seal: a jump over the whole window leaves nothing of it behind") {
  Sealer a = node(1);
  Sealer b = node(2);
  std::vector<std::string> packets;
  for (std::uint64_t i = 0; i < 2 * kReplayWindow; ++i) packets.push_back(a.seal(kShop, "x"));
  for (std::uint64_t i = 0; i < kReplayWindow; ++i) REQUIRE(opens(b, packets[i]));
  CHECK(opens(b, packets.back()));
  for (std::uint64_t i = kReplayWindow; i + 1 < packets.size(); ++i) REQUIRE(opens(b, packets[i]));
}

TEST_CASE("seal: the window agrees with a plain set of counters under any order") {
  std::mt19937_64 random(42);
  for (int round = 0; round < 20; ++round) {
    Sealer a = node(1);
    Sealer b = node(2);
    std::vector<std::string> packets;
    for (int i = 0; i < 6000; ++i) packets.push_back(a.seal(kShop, ""));
    std::set<std::size_t> seen;
    std::size_t highest = 0;
    std::size_t base = 0;
    for (int i = 0; i < 4000; ++i) {
      base = std::min<std::size_t>(base + random() % (round % 5 == 0 ? 500 : 4), packets.size() - 1600);
      const std::size_t n = base + random() % 1600;
      const bool fresh = seen.empty() || (n + kReplayWindow > highest && seen.count(n) == 0);
      REQUIRE(opens(b, packets[n]) == fresh);
      if (!fresh) continue;
      seen.insert(n);
      highest = std::max(highest, n);
    }
  }
}

TEST_CASE("seal: a restarted sender is heard at once, its earlier lifetimes no more") {
  Sealer before = node(1, 4, 5'000'000);
  Sealer after = node(1, 5, 10);
  Sealer b = node(2);
  const std::string late = before.seal(kShop, "late");
  CHECK(opens(b, before.seal(kShop, "x")));
  CHECK(opens(b, after.seal(kShop, "x")));
  CHECK(refusal(b, late) == Refusal::old_boot);
  CHECK(opens(b, after.seal(kShop, "x")));
}

TEST_CASE("seal: own packets that come back are known from those of a clone") {
  Sealer a = node(1, 3, 1000);
  CHECK(refusal(a, a.seal(kShop, "x")) == Refusal::reflected);
  Sealer earlier = node(1, 2, 77);
  CHECK(refusal(a, earlier.seal(kShop, "x")) == Refusal::reflected);
  Sealer same_snapshot = node(1, 3, 900'000);
  CHECK(refusal(a, same_snapshot.seal(kShop, "x")) == Refusal::clone);
  Sealer below = node(1, 3, 1);
  CHECK(refusal(a, below.seal(kShop, "x")) == Refusal::clone);
  Sealer restarted_clone = node(1, 4, 1000);
  CHECK(refusal(a, restarted_clone.seal(kShop, "x")) == Refusal::clone);
}

TEST_CASE("seal: the number of senders remembered is bounded, and none is forgotten for another") {
  Sealer b = node(2);
  std::string first;
  for (std::size_t n = 0; n < kSendersMax + 1; ++n) {
    Uuid sender = id(7);
    sender.bytes[0] = static_cast<std::uint8_t>(n);
    sender.bytes[1] = static_cast<std::uint8_t>(n >> 8U);
    Sealer a(sender, 1, 1, ring(key_line('A')));
    const std::string packet = a.seal(kShop, "x");
    if (n == 0) first = packet;
    if (n < kSendersMax) {
      REQUIRE(opens(b, packet));
    } else {
      CHECK(refusal(b, packet) == Refusal::too_many_senders);
    }
  }
  CHECK(refusal(b, first) == Refusal::replayed);
}

TEST_CASE("seal: a key is rotated without a packet lost") {
  Sealer a = node(1, 1, 1, key_line('A'));
  Sealer b = node(2, 1, 1, key_line('A'));
  a.set_keys(ring(key_line('A') + key_line('B')));  // install, one after another
  CHECK(opens(b, a.seal(kShop, "x")));
  b.set_keys(ring(key_line('A') + key_line('B')));
  a.set_keys(ring(key_line('B') + key_line('A')));  // use
  CHECK(opens(b, a.seal(kShop, "x")));
  CHECK(opens(a, b.seal(kShop, "x")));
  b.set_keys(ring(key_line('B') + key_line('A')));
  a.set_keys(ring(key_line('B')));  // remove
  CHECK(opens(b, a.seal(kShop, "x")));
  CHECK(opens(a, b.seal(kShop, "x")));
  Sealer left_behind = node(3, 1, 1, key_line('A'));
  CHECK(refusal(a, left_behind.seal(kShop, "x")) == Refusal::unknown_key);
}

TEST_CASE("seal: a change of key repeats no packet, loses none under way, and needs one long envelope") {
  Sealer a = node(1);
  Sealer b = node(2);
  const std::string both = key_line('A') + key_line('B');
  const std::string other_first = key_line('B') + key_line('A');
  const std::string long_one = a.seal(kShop, "x");
  CHECK(opens(b, long_one));
  a.set_keys(ring(both));
  b.set_keys(ring(both));
  CHECK(opens(b, a.seal(kShop, "x", true)));
  const std::string late = a.seal(kShop, "late", true);
  const std::string later = a.seal(kShop, "later", true);

  a.set_keys(ring(other_first));
  CHECK(refusal(b, a.seal(kShop, "x", true)) == Refusal::unknown_hint);
  CHECK(opens(b, late));
  CHECK(opens(b, a.seal(kShop, "x")));
  CHECK(opens(b, a.seal(kShop, "x", true)));
  CHECK(opens(b, later));  // overtaken by the new key
  CHECK(refusal(b, later) == Refusal::replayed);
  CHECK(refusal(b, long_one) == Refusal::replayed);

  const std::string too_late = [&] {
    a.set_keys(ring(both));
    return a.seal(kShop, "x");
  }();
  b.set_keys(ring(key_line('B')));
  CHECK(refusal(b, too_late) == Refusal::unknown_key);
  CHECK(claimed_key(too_late) == ring(key_line('A')).primary().id);
  CHECK_FALSE(claimed_key(late).has_value());
  a.set_keys(ring(key_line('B')));
  CHECK(opens(b, a.seal(kShop, "x")));
  CHECK(opens(b, a.seal(kShop, "x", true)));
}

TEST_CASE("seal: insecure mode keeps header, cluster and window, and finds accidents") {
  Sealer a(id(1), 1, 1, KeyRing::insecure());
  Sealer b(id(2), 1, 1, KeyRing::insecure());
  const std::string packet = a.seal(kShop, "plain words");
  CHECK(packet.size() == 11 + kSealBytes);
  CHECK(packet.find("plain words") != std::string::npos);
  for (std::size_t i = 0; i < packet.size(); ++i) {
    std::string bad = packet;
    bad[i] = static_cast<char>(bad[i] ^ 0x10);
    CHECK_FALSE(opens(b, bad));
  }
  REQUIRE(opens(b, packet));
  CHECK(refusal(b, packet) == Refusal::replayed);
  CHECK(refusal(b, a.seal(kOther, "x")) == Refusal::unknown_cluster);
}

TEST_CASE("seal: a sealed node and an insecure one never understand each other") {
  Sealer open_one(id(1), 1, 1, KeyRing::insecure());
  Sealer sealed = node(2);
  CHECK(refusal(sealed, open_one.seal(kShop, "x")) == Refusal::unknown_key);
  CHECK(refusal(open_one, sealed.seal(kShop, "x")) == Refusal::unknown_key);
}

TEST_CASE("seal: a key file holds keys, comments and empty lines; the first key seals") {
  const KeyRing keys = ring("# made by hand\r\n\n  " + key_line('B') + "\t# the old one\n" + key_line('A'));
  REQUIRE(keys.ids().size() == 2);
  CHECK(keys.primary().bytes[0] == 'B');
  CHECK(keys.find(keys.ids()[1])->bytes[0] == 'A');
  CHECK(to_string(keys.primary().id).size() == 8);
  const std::string last_line_without_end = key_line('A').substr(0, 44);
  CHECK(ring(last_line_without_end).ids().size() == 1);
}

TEST_CASE("seal: a bad key file is refused with the line, and never with the key") {
  CHECK(fault("").find("holds no key") != std::string::npos);
  CHECK(fault("# only words\n").find("holds no key") != std::string::npos);
  CHECK(fault("\nc2hvcnQ=\n").find("line 2") == 0);
  CHECK(fault("not base64 at all!").find("line 1: not a key") == 0);
  CHECK(fault(key_line('A').substr(0, 43)).find("line 1: not a key") == 0);
  CHECK(fault(key_line('A').substr(0, 44) + " x").find("line 1: not a key") == 0);
  CHECK(fault(key_line('A') + key_line('A')).find("line 2: the key") == 0);
  CHECK(fault("c2VjcmV0IHNlY3JldA==").find("c2Vj") == std::string::npos);
  std::string many;
  for (std::size_t i = 0; i <= kKeysMax; ++i) many += generate_key_text();
  CHECK(fault(many).find("line 9: more than 8 keys") == 0);
}

TEST_CASE("seal_key: generated keys are keys, and no two are equal") {
  REQUIRE(init_crypto());
  const std::string text = generate_key_text();
  CHECK(text.size() == 45);
  CHECK(ring(text + generate_key_text()).ids().size() == 2);
  CHECK(random_uuid() != random_uuid());
  CHECK(random_bytes(16).size() == 16);
  CHECK(random_u64() != random_u64());
}

TEST_CASE("seal: garbage is refused") {
  std::mt19937_64 random(7);
  Sealer b = node(2);
  for (int i = 0; i < 5000; ++i) {
    std::string packet(random() % 200, '\0');
    for (char& c : packet) c = static_cast<char>(random());
    if (!packet.empty() && i % 2 == 0) packet[0] = 1;
    REQUIRE_FALSE(opens(b, packet));
  }
}
