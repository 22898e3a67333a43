#include "gossip/seal.h"

#include <sodium.h>

#include <algorithm>
#include <cstdlib>
#include <tuple>

#include "gossip/big_endian.h"

namespace ringagent {

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kBriefVersion = 2;
constexpr std::size_t kBriefCounterBytes = 3;
constexpr std::uint64_t kBriefCounter = 0xFFFFFF;  // the part of a counter that travels in the short envelope

static_assert(kKeyBytes == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
static_assert(kSealTagBytes == crypto_aead_xchacha20poly1305_ietf_ABYTES);

const unsigned char* data(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* data(std::string& bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

template <std::size_t N>
std::array<std::uint8_t, N> blake2b(std::string_view bytes) {
  std::array<std::uint8_t, N> out;
  crypto_generichash(out.data(), N, data(bytes), bytes.size(), nullptr, 0);
  return out;
}

using Nonce = std::array<std::uint8_t, crypto_aead_xchacha20poly1305_ietf_NPUBBYTES>;
Nonce nonce(std::string_view header) {
  return blake2b<std::tuple_size_v<Nonce>>(header);
}

// What stands in place of the tag in insecure mode: it finds accidents, not attackers.
std::string checksum(std::string_view header_and_body) {
  const auto sum = blake2b<kSealTagBytes>(header_and_body);
  return {sum.begin(), sum.end()};
}

KeyId fingerprint(std::string_view key) {
  const auto digest = blake2b<32>(std::string("ringagent key ").append(key));
  KeyId id;
  std::copy_n(digest.begin(), id.size(), id.begin());
  if (id == KeyId{}) id.back() = 1;  // zero is the mark of insecure mode
  return id;
}

template <class Bytes>
void append(std::string& out, const Bytes& bytes) {
  out.append(bytes.begin(), bytes.end());
}

// Takes bytes off the front of `rest`, which the caller knows to be long enough.
template <class Bytes>
void take(std::string_view& rest, Bytes& bytes) {
  std::copy_n(rest.begin(), bytes.size(), bytes.begin());
  rest.remove_prefix(bytes.size());
}

std::uint64_t take_number(std::string_view& rest, std::size_t size) {
  const std::uint64_t value = number_at(rest, 0, size);
  rest.remove_prefix(size);
  return value;
}

}  // namespace

// ---------------------------------------------------------------- keys

std::string to_string(const KeyId& id) {
  std::string text(2 * id.size() + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), id.data(), id.size());
  text.pop_back();
  return text;
}

std::optional<KeyId> key_id(std::string_view text) {
  KeyId id;
  std::size_t size = 0;
  const bool hex = text.size() == 2 * id.size() &&
                   sodium_hex2bin(id.data(), id.size(), text.data(), text.size(), nullptr, &size, nullptr) == 0;
  if (!hex || size != id.size() || to_string(id) != text) return std::nullopt;
  return id;
}

std::optional<Key> key_of(std::string_view bytes) {
  if (bytes.size() != kKeyBytes) return std::nullopt;
  Key key;
  std::copy(bytes.begin(), bytes.end(), key.bytes.begin());
  key.id = fingerprint(bytes);
  return key;
}

std::string key_text(const Key& key) {
  std::string text(sodium_base64_ENCODED_LEN(kKeyBytes, sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(text.data(), text.size(), key.bytes.data(), key.bytes.size(), sodium_base64_VARIANT_ORIGINAL);
  text.pop_back();  // the closing zero
  return text;
}

const Key* KeyRing::find(const KeyId& id) const {
  const auto at = std::find_if(keys_.begin(), keys_.end(), [&](const Key& key) { return key.id == id; });
  return at == keys_.end() ? nullptr : &*at;
}

std::vector<KeyId> KeyRing::ids() const {
  std::vector<KeyId> out;
  for (const Key& key : keys_) out.push_back(key.id);
  return out;
}

Result<KeyRing> KeyRing::parse(std::string_view text) {
  KeyRing ring;
  for (std::size_t number = 1; !text.empty(); ++number) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const auto fault = [&](const std::string& what) { return fail("line " + std::to_string(number) + ": " + what); };
    line.remove_prefix(std::min(line.size(), line.find_first_not_of(" \t")));
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t')) line.remove_suffix(1);
    if (line.empty() || line.front() == '#') continue;
    Key key;
    std::size_t size = 0;
    const char* end = nullptr;
    if (sodium_base642bin(key.bytes.data(), key.bytes.size(), line.data(), line.size(), nullptr, &size, &end,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        end != line.data() + line.size() || size != kKeyBytes) {
      return fault("not a key (32 bytes in base64); `ringagent keygen` makes one");
    }
    key.id = fingerprint({reinterpret_cast<const char*>(key.bytes.data()), key.bytes.size()});
    if (ring.find(key.id) != nullptr) return fault("the key " + to_string(key.id) + " stands here twice");
    if (ring.keys_.size() == kKeysMax) return fault("more than " + std::to_string(kKeysMax) + " keys");
    ring.keys_.push_back(key);
  }
  if (ring.keys_.empty()) return fail("holds no key; `ringagent keygen` makes one");
  return ring;
}

ClusterId name_cluster_id(std::string_view cluster_name) {
  ClusterId id;
  id.bytes = blake2b<16>(std::string("ringagent cluster ").append(cluster_name));
  return id;
}

const char* to_string(Refusal refusal) {
  switch (refusal) {
    case Refusal::malformed:
      return "malformed";
    case Refusal::unknown_cluster:
      return "unknown_cluster";
    case Refusal::unknown_key:
      return "unknown_key";
    case Refusal::forged:
      return "forged";
    case Refusal::old_boot:
      return "old_boot";
    case Refusal::replayed:
      return "replayed";
    case Refusal::too_old:
      return "too_old";
    case Refusal::too_many_senders:
      return "too_many_senders";
    case Refusal::reflected:
      return "reflected";
    case Refusal::clone:
      return "clone";
    case Refusal::unknown_hint:
      return "unknown_hint";
  }
  std::abort();
}

// ---------------------------------------------------------------- the envelope

struct Sealer::Header {
  KeyId key{};
  ClusterId cluster;
  NodeId sender;
  std::uint32_t boot = 0;
  std::uint64_t counter = 0;

  std::string bytes() const {
    std::string out = without_counter();
    append_number(out, counter, 8);
    return out;
  }

  // What a sender has in common with itself until it restarts or takes another key or cluster, in four bytes.
  std::uint32_t hint() const {
    const auto hash = blake2b<16>(without_counter());
    return static_cast<std::uint32_t>(number_at({reinterpret_cast<const char*>(hash.data()), 4}, 0, 4));
  }

  std::string brief() const {
    std::string out(1, static_cast<char>(kBriefVersion));
    append_number(out, hint(), 4);
    append_number(out, counter & kBriefCounter, kBriefCounterBytes);
    return out;
  }

  std::string without_counter() const {
    std::string out(1, static_cast<char>(kVersion));
    append(out, key);
    append(out, cluster.bytes);
    append(out, sender.bytes);
    append_number(out, boot, 4);
    return out;
  }

  static std::optional<Header> parse(std::string_view packet) {
    if (packet.size() < kSealBytes || static_cast<std::uint8_t>(packet[0]) != kVersion) return std::nullopt;
    packet.remove_prefix(1);
    Header header;
    take(packet, header.key);
    take(packet, header.cluster.bytes);
    take(packet, header.sender.bytes);
    header.boot = static_cast<std::uint32_t>(take_number(packet, 4));
    header.counter = take_number(packet, 8);
    return header;
  }
};

std::optional<KeyId> claimed_key(std::string_view packet) {
  if (packet.size() < kSealBytes || static_cast<std::uint8_t>(packet[0]) != kVersion) return std::nullopt;
  packet.remove_prefix(1);
  KeyId id;
  take(packet, id);
  return id;
}

Sealer::Sealer(const NodeId& self, std::uint32_t boot, std::uint64_t first_counter, KeyRing keys)
    : self_(self),
      boot_(boot),
      first_(first_counter & ~(std::uint64_t{1} << 63U)),
      next_(first_),
      keys_(std::move(keys)) {}

std::string Sealer::seal(const ClusterId& cluster, std::string_view body, bool brief) {
  if (next_ == ~std::uint64_t{0}) std::abort();  // the next packet would use a nonce again
  const KeyId key = keys_.is_insecure() ? KeyId{} : keys_.primary().id;
  const Header header{key, cluster, self_, boot_, next_++};
  const std::string whole = header.bytes();
  std::string packet = brief ? header.brief() : whole;
  if (keys_.is_insecure()) return packet.append(body).append(checksum(std::string(whole).append(body)));
  const std::size_t start = packet.size();
  packet.resize(start + body.size() + kSealTagBytes);
  crypto_aead_xchacha20poly1305_ietf_encrypt(data(packet) + start, nullptr, data(body), body.size(),
                                             data(std::string_view(whole)), whole.size(), nullptr, nonce(whole).data(),
                                             keys_.primary().bytes.data());
  return packet;
}

// The header of a packet, which may be a lie. A short one is completed from what is remembered of its sender.
std::optional<Sealer::Header> Sealer::header_of(std::string_view packet) const {
  if (packet.empty() || static_cast<std::uint8_t>(packet[0]) != kBriefVersion) return Header::parse(packet);
  if (packet.size() < kBriefBytes) return std::nullopt;
  const auto known = hints_.find(static_cast<std::uint32_t>(number_at(packet, 1, 4)));
  if (known == hints_.end()) return Header{};  // of nobody
  const Hint& hint = known->second;
  const Window& window = windows_.at(hint.sender);
  const std::uint64_t low = number_at(packet, 5, kBriefCounterBytes);
  std::uint64_t counter = (window.highest & ~kBriefCounter) | low;
  if (counter > window.highest && counter - window.highest > kBriefCounter / 2 && counter > kBriefCounter)
    counter -= kBriefCounter + 1;
  else if (window.highest > counter && window.highest - counter > kBriefCounter / 2)
    counter += kBriefCounter + 1;
  return Header{hint.key, hint.cluster, hint.sender, hint.boot, counter};
}

tl::expected<std::string, Refusal> Sealer::authenticate(std::string_view sealed, const Header& header) const {
  const std::string whole = header.bytes();
  const std::size_t size = sealed.size() - kSealTagBytes;
  if (keys_.is_insecure() && header.key == KeyId{}) {
    if (checksum(std::string(whole).append(sealed.substr(0, size))) != sealed.substr(size))
      return tl::unexpected(Refusal::forged);
    return std::string(sealed.substr(0, size));
  }
  const Key* key = keys_.find(header.key);
  if (key == nullptr) return tl::unexpected(Refusal::unknown_key);
  std::string body(size, '\0');
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(data(body), nullptr, nullptr, data(sealed), sealed.size(),
                                                 data(std::string_view(whole)), whole.size(), nonce(whole).data(),
                                                 key->bytes.data()) != 0) {
    return tl::unexpected(Refusal::forged);
  }
  return body;
}

tl::expected<void, Refusal> Sealer::admit(const Header& header) {
  if (header.sender == self_) {
    const bool mine =
        header.boot < boot_ || (header.boot == boot_ && header.counter >= first_ && header.counter < next_);
    return tl::unexpected(mine ? Refusal::reflected : Refusal::clone);
  }
  auto at = windows_.find(header.sender);
  if (at == windows_.end()) {
    if (windows_.size() == kSendersMax) return tl::unexpected(Refusal::too_many_senders);
    at = windows_.emplace(header.sender, Window{}).first;
    at->second.boot = header.boot;
    at->second.highest = header.counter;
  }
  Window& window = at->second;
  if (header.boot < window.boot) return tl::unexpected(Refusal::old_boot);
  if (header.boot > window.boot) {
    window.boot = header.boot;
    window.highest = header.counter;
    window.seen = {};
  }

  const auto word = [&](std::uint64_t counter) -> std::uint64_t& { return window.seen[counter % kReplayWindow / 64]; };
  const auto bit = [](std::uint64_t counter) { return std::uint64_t{1} << (counter % 64); };
  if (header.counter > window.highest) {
    // The window slides: what it newly covers has not been seen.
    const std::uint64_t steps = std::min(header.counter - window.highest, kReplayWindow);
    for (std::uint64_t i = 0; i < steps; ++i) word(header.counter - i) &= ~bit(header.counter - i);
    window.highest = header.counter;
  } else if (window.highest - header.counter >= kReplayWindow) {
    return tl::unexpected(Refusal::too_old);
  } else if ((word(header.counter) & bit(header.counter)) != 0) {
    return tl::unexpected(Refusal::replayed);
  }
  word(header.counter) |= bit(header.counter);
  return {};
}

tl::expected<Opened, Refusal> Sealer::open(std::string_view packet, std::span<const ClusterId> accepted) {
  const std::optional<Header> header = header_of(packet);
  if (!header) return tl::unexpected(Refusal::malformed);
  if (header->sender.nil()) return tl::unexpected(Refusal::unknown_hint);
  if (std::find(accepted.begin(), accepted.end(), header->cluster) == accepted.end()) {
    return tl::unexpected(Refusal::unknown_cluster);
  }
  const bool brief = static_cast<std::uint8_t>(packet[0]) == kBriefVersion;
  auto body = authenticate(packet.substr(brief ? kBriefHeaderBytes : kSealHeaderBytes), *header);
  if (!body) return tl::unexpected(body.error());
  if (const auto admitted = admit(*header); !admitted) return tl::unexpected(admitted.error());
  if (!brief) remember(*header);
  return Opened{header->sender, header->boot, header->cluster, brief, std::move(*body)};
}

// Whose short envelopes bear which hint, learnt from long ones that were opened.
void Sealer::remember(const Header& header) {
  Window& window = windows_.at(header.sender);
  const std::uint32_t hint = header.hint();
  const auto forget = [&](std::uint32_t old) {
    if (const auto at = hints_.find(old); at != hints_.end() && at->second.sender == header.sender) hints_.erase(at);
  };
  if (hint != window.hint) {
    if (window.former != hint) forget(window.former);
    const auto last = hints_.find(window.hint);
    if (last != hints_.end() && last->second.sender == header.sender && last->second.boot != header.boot)
      forget(window.hint);
    window.former = std::exchange(window.hint, hint);
  }
  hints_[hint] = {header.sender, header.boot, header.key, header.cluster};
}

}  // namespace ringagent
