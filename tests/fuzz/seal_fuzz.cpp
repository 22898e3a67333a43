#include <array>
#include <set>
#include <vector>

#include "fuzz.h"
#include "gossip/key_book.h"
#include "gossip/seal.h"

// 0: packets from strangers, 1: packets that were altered on the way, 2: packets in any order, 3: key files,
// 4: what is kept of the keys.
using namespace ringagent;
using fuzz::demand;

namespace {

const std::string kKey = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=\n";

KeyRing ring(bool insecure) {
  return insecure ? KeyRing::insecure() : *KeyRing::parse(kKey);
}

Uuid id(std::uint8_t n) {
  Uuid uuid;
  uuid.bytes.fill(n);
  return uuid;
}

const std::array<ClusterId, 1> kAccepted = {id(9)};

// Bytes that nobody sealed open nothing, and move nothing.
void stranger(std::string_view packet) {
  Sealer b(id(2), 1, 1, ring(false));
  demand(!b.open(packet, kAccepted), "nothing opens without the key");
  Sealer a(id(1), 1, 1, ring(false));
  demand(b.open(a.seal(kAccepted[0], "x"), kAccepted).has_value(), "and nothing is spoiled for others");
}

// One packet, in the long or the short envelope, with some of its bytes turned over.
void altered(fuzz::Input input) {
  const std::uint8_t how = input.byte();
  const bool insecure = how % 2 == 0;
  const bool brief = (how & 2U) != 0;
  Sealer a(id(1), 1, 1, ring(insecure));
  Sealer b(id(2), 1, 1, ring(insecure));
  const std::string body(input.take(input.byte()));
  if (brief) demand(b.open(a.seal(kAccepted[0], ""), kAccepted).has_value(), "the first packet opens");
  const std::string packet = a.seal(kAccepted[0], body, brief);
  std::string bad = packet;
  while (!input.empty()) bad[input.number(2) % bad.size()] ^= static_cast<char>(input.byte());
  const auto opened = b.open(bad, kAccepted);
  demand(opened.has_value() == (bad == packet), "only what was sealed opens");
  if (!opened) return;
  demand(opened->brief == brief && opened->body == body && opened->sender == id(1) && opened->boot == 1 &&
             opened->cluster == kAccepted[0],
         "and is what was sealed");
}

// Packets of one sender in any order against a plain set; every second one is in the short envelope, which only opens
// after a long one.
void reordered(fuzz::Input input) {
  static const std::vector<std::string> packets = [] {
    Sealer a(id(1), 1, 1, ring(true));
    std::vector<std::string> sealed;
    for (int i = 0; i < 3000; ++i) sealed.push_back(a.seal(kAccepted[0], "", i % 2 == 1));
    return sealed;
  }();
  Sealer b(id(2), 1, 1, ring(true));
  std::set<std::uint64_t> seen;
  while (!input.empty()) {
    const std::uint64_t n = input.number(2) % packets.size();
    const bool fresh = seen.empty() ? n % 2 == 0 : (n + kReplayWindow > *seen.rbegin() && seen.count(n) == 0);
    demand(b.open(packets[n], kAccepted).has_value() == fresh, "each counter opens once, within the window");
    if (fresh) seen.insert(n);
  }
}

void key_file(std::string_view text) {
  const auto keys = KeyRing::parse(text);
  if (!keys) return fuzz::demand_reason(keys.error());
  demand(!keys->is_insecure() && keys->ids().size() <= kKeysMax, "a key file gives at least one key, and few");
}

// Two halves: two books that meet.
void key_book(std::string_view text) {
  const std::size_t middle = text.find('%');
  const auto one = parse_key_book(text.substr(0, middle));
  if (!one) return fuzz::demand_reason(one.error());
  demand(*parse_key_book(key_book_text(*one)) == *one, "a book is read as it was written");
  const KeyRing file = ring(false);
  const KeyRing keys = ring_of(*one, file);
  demand(!keys.is_insecure() && keys.keys().size() <= kKeysMax, "there is a key, and not too many");
  if (middle == std::string_view::npos) return;
  const auto other = parse_key_book(text.substr(middle + 1));
  if (!other) return;
  KeyBook a = *one;
  KeyBook b = *other;
  merge(a, *other);
  merge(b, *one);
  demand(sound(a) && a.entries.size() <= kKeyEntriesMax, "what they come to is sound");
  if (one->entries.size() + other->entries.size() <= kKeyEntriesMax) demand(a == b, "and the same for both");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  switch (input.byte() % 8) {
    case 0:
      stranger(input.rest());
      break;
    case 1:
      altered(input);
      break;
    case 2:
      reordered(input);
      break;
    case 4:
      key_book(input.rest());
      break;
    default:
      key_file(input.rest());
  }
  return 0;
}
