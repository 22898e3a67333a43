#pragma once

#include <array>
#include <string>
#include <utility>

#include "gossip/log.h"
#include "gossip/state.h"

// The durable state on disk: two mirrored slots, of which one is always whole.
//
// Intuition: a vote that is forgotten after a crash is a vote that can be given twice. So every answer waits
// until the state behind it is on the disk, and the disk may tear a write at any byte without harm: there are
// two files, each with a sequence number and a checksum, and they are written in turn.
//
//   state_dir/lock      held by flock as long as the agent runs
//   state_dir/state.0   checksum 32 | "RINGAGNT" | format 4 | zero 4 | sequence 8 | length 8 | encoded state
//   | zeros state_dir/state.1   the same; integers big-endian; the checksum is BLAKE2b-256 of what follows it
//
// Invariants:
//  - a slot is overwritten only while the other one holds, synced, the last state that was answered upon;
//  - `persist` returns only after fdatasync; after any error of writing or syncing it logs and aborts, for
//  what the
//    kernel still holds of that write is unknown, and a second fsync may claim success (Rebello et al., "Can
//    Applications Recover from fsync Failures?", 2020);
//  - at the start one valid slot suffices and the higher sequence wins; the other slot is made its copy
//  before `open`
//    returns, so before anything can be said;
//  - a node never starts empty where a state has been: if neither slot is valid `open` fails and says what to
//  do.
//    Only if both are absent the node is new. New files appear by rename, so a crash while a node is made
//    leaves none or a whole one;
//  - slots are written in full when they are made (zeros behind the state), so a disk that fills up later
//  does not
//    reach `persist`. They begin at kSlotBytesMin and double when they must grow.
//
// Cost of `persist`: one pwrite and one fdatasync.
//
// Errors: one line each, with the path and the mend: no directory, somebody else's directory, full disk, in
// use by another agent, damaged slots, a state of a newer version.
//
// The directory must not be restored from a backup or a snapshot: what the node has promised since would be
// forgotten.
namespace ringagent {

inline constexpr std::size_t kSlotBytesMin = 256 * 1024;
inline constexpr std::size_t kSlotHeaderBytes = 64;

struct StoreOpened;

class Store {
 public:
  // Opens the state directory, or makes it for a new node with the id `fresh`. Counting up `boot` (and `seq`)
  // and persisting that is the caller's, before the first packet.
  static Result<StoreOpened> open(const std::string& directory, const NodeId& fresh, LogFunction log);

  // Makes `state` durable or aborts. `state.seq` must be higher than in the state before, `self` the same.
  void persist(const DurableState& state);

 private:
  // A file descriptor with an owner.
  class File {
   public:
    explicit File(int fd = -1) : fd_(fd) {}
    ~File();
    File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    File& operator=(File&& other) noexcept {
      std::swap(fd_, other.fd_);
      return *this;
    }
    int fd() const { return fd_; }

   private:
    int fd_;
  };
  struct Slot {
    File file;
    std::size_t capacity = 0;  // bytes that the file already has on the disk
  };
  struct Found;  // what a slot was found to hold

  Store() = default;
  static Found read_slot(const std::string& path);
  Result<DurableState> choose(std::array<Found, 2>& found, const NodeId& fresh);
  Result<void> lock();
  Result<void> make_slot(std::size_t index, const std::string& bytes, std::size_t capacity);
  std::string path(std::size_t index) const;

  std::string directory_;
  LogFunction log_;
  File lock_;
  File directory_file_;
  std::array<Slot, 2> slots_;
  std::size_t last_ = 0;  // the slot that holds the last state
  NodeId self_;
  std::uint64_t seq_ = 0;
};

struct StoreOpened {
  Store store;
  DurableState state;
  bool created = false;  // a new node: nothing was ever persisted since it was made
};

}  // namespace ringagent
