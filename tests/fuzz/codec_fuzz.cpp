#include "config/ring.h"
#include "fuzz.h"
#include "gossip/big_endian.h"
#include "gossip/codec.h"
#include "tests/unit/gossip_filler.h"

// What comes off the wire once it is authenticated, off the disk once its checksum holds, and the decided value inside.
// An input begins with a digit: 0, 2, 4, 6 and the bytes themselves; 1, 3, 5, 7 and which valid form is damaged how. In
// the first three a text gets another size before.
using namespace ringagent;
using fuzz::demand;

namespace {

template <class T>
void round_trip(const Result<T>& value, Result<T> (*decode_again)(std::string_view)) {
  if (!value) return fuzz::demand_reason(value.error());
  const auto again = decode_again(encode(*value));
  demand(again.has_value(), "what was read can be written and read again");
  demand(*again == *value, "and is the same");
}

// How many bytes tell the length of a text or a blob; none: `head` begins neither, or a text that is short.
std::size_t length_bytes(std::uint8_t head) {
  return head == 0xC4 || head == 0xD9 ? 1 : head == 0xC5 || head == 0xDA ? 2 : 0;
}

// The next text or blob with another size: its head and its bytes agree, so that only its limit can refuse it. Guessing
// both would take the fuzzer too long.
std::string resized(std::string bytes, fuzz::Input& input) {
  if (input.empty()) return bytes;
  const auto head_at = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  const auto is_short = [](std::uint8_t head) { return (head & 0xE0U) == 0xA0U; };
  std::size_t at = input.number(2) % bytes.size();
  while (at < bytes.size() && !is_short(head_at(at)) && length_bytes(head_at(at)) == 0) ++at;
  if (at == bytes.size()) return bytes;
  const std::uint8_t head = head_at(at);
  const std::size_t width = length_bytes(head);
  if (at + 1 + width > bytes.size()) return bytes;
  const std::size_t before = is_short(head) ? head & 0x1FU : number_at(bytes, at + 1, width);
  const std::size_t size = input.number(2);
  std::string other(1, head == 0xC4 || head == 0xC5 ? '\xC5' : '\xDA');
  append_number(other, size, 2);
  return bytes.replace(at, 1 + width + before, other.append(size, 'x'));
}

// A ring of up to eight, as the input wants it; not always a valid one.
Config some_config(fuzz::Input& input) {
  Config config;
  config.cluster_id.bytes.fill(1);
  config.cluster = "shop";
  config.epoch = input.byte();
  for (std::uint8_t n = static_cast<std::uint8_t>(1 + input.byte() % 8); n > 0; --n) {
    Member member;
    member.id.bytes.fill(n);
    member.name = "db" + std::to_string(n);
    member.gossip = {"10.0.0." + std::to_string(n), 7946};
    member.mysql = {"10.0.0." + std::to_string(n), 3306};
    member.server_id = n;
    const std::uint8_t flags = input.byte();
    member.role = static_cast<Role>(flags % 4);
    member.in = (flags & 4U) != 0;
    member.vote = (flags & 8U) != 0;
    config.members.push_back(member);
  }
  return config;
}

void decided_value(std::string_view bytes) {
  const auto config = parse_config(bytes);
  if (!config) return fuzz::demand_reason(config.error());
  demand(canonical_bytes(*config) == bytes, "one config has one form");
  const auto in = ring(*config);
  demand(!in.empty(), "a ring is never empty");
  for (const NodeId& node : in) {
    const auto source = upstream(*config, node);
    demand(source.has_value() == (in.size() > 1), "everybody but the last one has an upstream");
    demand(!source || (*source != node && config->find(*source)->in), "which is another node of the ring");
  }
  demand(majority(*config) * 2 > voters(*config).size(), "two majorities meet");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::uint8_t mode = input.byte() % 8;
  const bool raw = mode % 2 == 0;
  const auto bytes = [&](auto&& make) { return raw ? std::string(input.rest()) : fuzz::damaged(make(), input); };
  const auto message = [&] {
    const std::uint64_t seed = input.byte();
    return resized(encode(test::filled_message(seed % test::kKinds, seed)), input);
  };
  const auto record = [&] { return resized(encode(test::filled<NodeRecord>(input.byte())), input); };
  const auto state = [&] { return resized(encode(test::filled<DurableState>(input.byte())), input); };
  switch (mode / 2) {
    case 0:
      round_trip<Message>(decode(bytes(message)), decode);
      break;
    case 1:
      round_trip<NodeRecord>(decode_record(bytes(record)), decode_record);
      break;
    case 2:
      round_trip<DurableState>(decode_state(bytes(state)), decode_state);
      break;
    default:
      decided_value(bytes([&] { return canonical_bytes(some_config(input)); }));
  }
  return 0;
}
