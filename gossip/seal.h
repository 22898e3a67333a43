#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/types.h"

// The envelope around every packet: who sent it, for which cluster, and proof of both.
//
// Intuition: whoever has no key can neither read, nor make, nor alter, nor repeat a packet. Nothing of the
// body is looked at before that is proved; what is read before (the header) is only used to find the key.
//
//   version 1 | key id 4 | cluster id 16 | sender 16 | boot 4 | counter 8 | body, sealed | tag 16
//   `------------------- header, 49 bytes, associated data -------------'   (integers big-endian)
//
// Sealed means XChaCha20-Poly1305 (libsodium, draft-irtf-cfrg-xchacha-03). The nonce is not sent: it is the
// BLAKE2b hash, 24 bytes, of the header.
//
// The short envelope, for the many small packets to those who have opened a long one of mine before:
//
//   version 2 | hint 4 | counter, its low 3 | body, sealed | tag 16                        24 bytes instead of 65
//
// The hint is a hash of the header without its counter; the receiver remembers whose it is, puts the counter nearest to
// the highest that it has seen, and so has the whole header, which is authenticated and hashed into the nonce as ever:
// nothing is proved that is not proved by the long one. A receiver that does not know the hint (it has restarted, the
// key or the cluster is another) refuses; the sender is to try again at length.
//
// Why no nonce is ever used twice with a key: the header holds (sender, boot, counter). Sender is a random
// UUID. Boot is counted up and made durable before the first packet of each process lifetime; counter is
// counted up with each packet and the process aborts before it wraps. So no two packets have the same header,
// and two different headers have the same 192-bit hash with negligible probability (below 2^-90 for 2^50
// packets). Where the durable part fails (a restored snapshot or a cloned machine: the same sender and boot
// twice), the counter still starts at a random place below 2^63 in each lifetime, so that the two ranges do
// not meet.
//
// Invariants:
//  - a packet is authenticated before its counter is judged, and judged before its body is handed out;
//  - of each (sender, boot, counter) at most one packet is ever opened: counters further than kReplayWindow
//  behind the
//    highest are refused, as is every boot below the highest seen of that sender;
//  - at most kSendersMax senders are remembered; a further one is refused, never an old one forgotten (that
//  would
//    let its packets be repeated).
//
// Limits of what this proves: one key is shared, so any member can speak as any other. After a restart the
// windows are empty: an old packet may then be repeated once, until its sender's next one; what the agents
// say survives that (answers carry my own numbers, ballots and records carry versions). Insecure mode (for
// trials) has the same header, cluster check and window, and a hash against accidents instead of proof.
namespace ringagent {

inline constexpr std::size_t kKeyBytes = 32;
inline constexpr std::size_t kKeysMax = 8;
inline constexpr std::size_t kSealHeaderBytes = 49;
inline constexpr std::size_t kSealTagBytes = 16;
inline constexpr std::size_t kSealBytes = kSealHeaderBytes + kSealTagBytes;  // what the envelope adds
inline constexpr std::size_t kBriefHeaderBytes = 8;
inline constexpr std::size_t kBriefBytes = kBriefHeaderBytes + kSealTagBytes;  // what the short one adds
inline constexpr std::uint64_t kReplayWindow = 1024;
inline constexpr std::size_t kSendersMax = 2048;

// Which key: the first 4 bytes of its hash. All zero: no key, insecure mode.
using KeyId = std::array<std::uint8_t, 4>;
std::string to_string(const KeyId& id);  // 8 hex digits, what members gossip during a rotation
std::optional<KeyId> key_id(std::string_view text);

struct Key {
  std::array<std::uint8_t, kKeyBytes> bytes{};
  KeyId id{};
  bool operator==(const Key&) const = default;
};
// The key of these bytes; none if they are not kKeyBytes.
std::optional<Key> key_of(std::string_view bytes);
// As a key file has it, in base64.
std::string key_text(const Key& key);

// All keys open, the first one seals. A rotation: install the new key last everywhere, move it to the front,
// remove the old one (gossip/key_book.h).
class KeyRing {
 public:
  KeyRing() = default;  // insecure
  explicit KeyRing(std::vector<Key> keys) : keys_(std::move(keys)) {}
  static KeyRing insecure() { return {}; }
  // A key file: one key in base64 a line, the primary first; empty lines and lines that begin with # are
  // skipped.
  static Result<KeyRing> parse(std::string_view text);

  bool is_insecure() const { return keys_.empty(); }
  const Key& primary() const { return keys_.front(); }
  const Key* find(const KeyId& id) const;
  std::vector<KeyId> ids() const;
  const std::vector<Key>& keys() const { return keys_; }
  bool operator==(const KeyRing&) const = default;

 private:
  std::vector<Key> keys_;
};

// Which key a packet says that it is sealed with. Anybody may claim anything: for complaints only.
std::optional<KeyId> claimed_key(std::string_view packet);

// What packets are bound to before the cluster has an id: its name.
ClusterId name_cluster_id(std::string_view cluster_name);

// Why a packet was not opened. Only `clone` is worth more than a counter: an authentic packet that bears this
// node's own id and that this process has not sent; somebody else runs with a copy of the state directory.
enum class Refusal : std::uint8_t {
  malformed,        // shorter than an envelope, or of another version
  unknown_cluster,  // bound to a cluster that is not accepted here
  unknown_key,      // no such key here; or one side is insecure
  forged,           // altered, or sealed with a key that only has the same id
  old_boot,         // from an earlier lifetime of its sender
  replayed,         // opened before
  too_old,          // further back than the window
  too_many_senders,
  reflected,  // this process has sent it itself
  clone,
  unknown_hint,  // a short envelope from somebody who is not remembered
};
const char* to_string(Refusal refusal);

struct Opened {
  NodeId sender;
  std::uint32_t boot = 0;
  ClusterId cluster;
  bool brief = false;  // it came in the short envelope
  std::string body;
};

class Sealer {
 public:
  // `boot` is durable already; `first_counter` is random (see above), its top bit is ignored.
  Sealer(const NodeId& self, std::uint32_t boot, std::uint64_t first_counter, KeyRing keys);

  std::string seal(const ClusterId& cluster, std::string_view body, bool brief = false);
  tl::expected<Opened, Refusal> open(std::string_view packet, std::span<const ClusterId> accepted);

  // From the next packet on. Counters and windows stay as they are. Another primary makes another hint: after that the
  // long envelope must go to everybody once more before the short one is understood again.
  void set_keys(KeyRing keys) { keys_ = std::move(keys); }
  const KeyRing& keys() const { return keys_; }

 private:
  struct Header;
  // The counters seen of one sender: bit c % kReplayWindow stands for counter c, of the last kReplayWindow
  // ones.
  struct Window {
    std::uint32_t boot = 0;
    std::uint64_t highest = 0;
    std::array<std::uint64_t, kReplayWindow / 64> seen{};
    std::uint32_t hint = 0;    // of its newest long envelope
    std::uint32_t former = 0;  // the one before: what was sent before a change of key may arrive after it
  };
  struct Hint {
    NodeId sender;
    std::uint32_t boot = 0;
    KeyId key{};
    ClusterId cluster;
  };

  std::optional<Header> header_of(std::string_view packet) const;
  tl::expected<std::string, Refusal> authenticate(std::string_view sealed, const Header& header) const;
  tl::expected<void, Refusal> admit(const Header& header);
  void remember(const Header& header);

  NodeId self_;
  std::uint32_t boot_;
  std::uint64_t first_;
  std::uint64_t next_;
  KeyRing keys_;
  std::map<NodeId, Window> windows_;
  std::map<std::uint32_t, Hint> hints_;  // by Window::hint and Window::former
};

}  // namespace ringagent
