#include "gossip/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "gossip/big_endian.h"
#include "gossip/codec.h"

namespace ringagent {

namespace {

constexpr std::string_view kMagic = "RINGAGNT";
constexpr std::uint64_t kFormat = 1;
constexpr std::uint64_t kFirstSeq = 1;
constexpr std::size_t kChecksumBytes = std::tuple_size_v<Hash>;

// A slot's content up to the zeros.
std::string slot_bytes(const DurableState& state) {
  const std::string payload = encode(state);
  std::string bytes(kChecksumBytes, '\0');
  bytes.reserve(kSlotHeaderBytes + payload.size());
  bytes += kMagic;
  append_number(bytes, kFormat, 4);
  append_number(bytes, 0, 4);
  append_number(bytes, state.seq, 8);
  append_number(bytes, payload.size(), 8);
  bytes += payload;
  const Hash checksum = hash_bytes(std::string_view(bytes).substr(kChecksumBytes));
  std::copy(checksum.begin(), checksum.end(), bytes.begin());
  return bytes;
}

std::size_t capacity_for(std::size_t bytes) {
  std::size_t capacity = kSlotBytesMin;
  while (capacity < bytes) capacity *= 2;
  return capacity;
}

// Writes everything or says why not (errno). A short write is no error yet: the next one tells.
bool write_all(int fd, std::string_view bytes) {
  off_t at = 0;
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
    at += n;
  }
  return true;
}

std::optional<std::string> read_up_to(int fd, std::size_t size, std::size_t offset) {
  std::string bytes(size, '\0');
  std::size_t done = 0;
  while (done < size) {
    const ssize_t n = ::pread(fd, bytes.data() + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::nullopt;
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  bytes.resize(done);
  return bytes;
}

// "cannot write /x/state.0: No space left on device; ..." from errno.
std::string complaint(const char* verb, const std::string& path, const std::string& directory) {
  const int error = errno;
  std::string text = std::string("cannot ") + verb + " " + path + ": " + std::strerror(error);
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
    text += "; the state directory " + directory + " needs " + std::to_string(2 * kSlotBytesMin / 1024) +
            " KB: make room there and start the agent again";
  } else if (error == EACCES || error == EPERM) {
    text += "; " + directory + " must belong to the user that runs the agent";
  } else if (error == ENOENT) {
    text += "; make the directory above it, or set state_dir to one that exists";
  } else if (error == EROFS) {
    text += "; state_dir must be on a file system that can be written to";
  }
  return text;
}

// The directory itself: made if it is absent (0700), refused if others could write to it.
Result<int> open_directory(const std::string& directory) {
  const bool made = ::mkdir(directory.c_str(), 0700) == 0;
  if (!made && errno != EEXIST) return fail(complaint("make", directory, directory));
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return fail(complaint("open", directory, directory));
  struct stat info {};
  if (::fstat(fd, &info) != 0 || (info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    ::close(fd);
    return fail("the state directory " + directory + " can be written to by others; chmod 700 " + directory);
  }
  if (made) {
    const int parent = ::open((directory + "/..").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool synced = parent >= 0 && ::fsync(parent) == 0;
    const std::string text = synced ? "" : complaint("sync", directory + "/..", directory);
    if (parent >= 0) ::close(parent);
    if (!synced) {
      ::close(fd);
      return fail(text);
    }
  }
  return fd;
}

}  // namespace

Store::File::~File() {
  if (fd_ >= 0) ::close(fd_);
}

std::string Store::path(std::size_t index) const {
  return directory_ + "/state." + std::to_string(index);
}

// ---------------------------------------------------------------- reading

struct Store::Found {
  bool absent = false;
  std::string fault;  // why it is not valid
  bool mend = true;   // false: a fault that a copy of the other slot must not paper over
  DurableState state;
  std::size_t bytes = 0;
  bool valid() const { return !absent && fault.empty(); }
};

Store::Found Store::read_slot(const std::string& path) {
  Found found;
  const auto bad = [&](std::string fault) {
    found.fault = std::move(fault);
    return found;
  };
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (file.fd() < 0) {
    found.absent = errno == ENOENT;
    found.mend = found.absent;
    return bad(found.absent ? "absent" : std::strerror(errno));
  }
  const auto header = read_up_to(file.fd(), kSlotHeaderBytes, 0);
  if (!header) return bad(std::strerror(errno));
  if (header->size() < kSlotHeaderBytes) return bad("too short");
  if (header->substr(kChecksumBytes, kMagic.size()) != kMagic) return bad("not a state file");
  const std::uint64_t length = number_at(*header, 56, 8);
  if (length > kStateBytesMax) return bad("its length is wrong");
  struct stat info {};
  if (::fstat(file.fd(), &info) != 0) return bad(std::strerror(errno));
  // Before it is read, so that a length that is only damage does not cost that much memory.
  if (static_cast<std::uint64_t>(info.st_size) < kSlotHeaderBytes + length) return bad("cut short");
  const auto payload = read_up_to(file.fd(), length, kSlotHeaderBytes);
  if (!payload) return bad(std::strerror(errno));
  if (payload->size() < length) return bad("cut short");
  const std::string bytes = *header + *payload;
  const Hash checksum = hash_bytes(std::string_view(bytes).substr(kChecksumBytes));
  if (!std::equal(checksum.begin(), checksum.end(), bytes.begin(),
                  [](std::uint8_t a, char b) { return a == static_cast<std::uint8_t>(b); })) {
    return bad("its checksum does not match");
  }
  // From here on it is what an agent wrote; what cannot be read is not damage.
  found.mend = false;
  if (number_at(bytes, 40, 4) > kFormat) return bad("written by a newer ringagent; install that version again");
  auto state = decode_state(*payload);
  if (!state) return bad("not readable by this version: " + state.error().text);
  if (state->seq != number_at(bytes, 48, 8)) return bad("its sequence numbers differ");
  found.state = std::move(*state);
  found.bytes = bytes.size();
  return found;
}

// The state to go on with; both slots absent: the first state of a new node.
Result<DurableState> Store::choose(std::array<Found, 2>& found, const NodeId& fresh) {
  for (std::size_t i = 0; i < 2; ++i) {
    if (!found[i].valid() && !found[i].mend) return fail(path(i) + ": " + found[i].fault);
  }
  if (found[0].absent && found[1].absent) {
    DurableState state;
    state.self = fresh;
    state.seq = kFirstSeq;
    return state;
  }
  if (!found[0].valid() && !found[1].valid()) {
    return fail("the state in " + directory_ + " is damaged (state.0: " + found[0].fault +
                "; state.1: " + found[1].fault +
                "). This node no longer knows what it has promised and must not vote. "
                "Look after the disk, then `mv " +
                directory_ + " " + directory_ +
                ".damaged` and start the agent: it comes back as a new member in its old place. Do not restore the "
                "directory from a backup");
  }
  if (found[0].valid() && found[1].valid()) {
    const DurableState& a = found[0].state;
    const DurableState& b = found[1].state;
    if (a.self != b.self || (a.seq == b.seq && a != b)) {
      return fail("state.0 and state.1 in " + directory_ + " do not come from one node's life (" + a.self.str() +
                  " at " + std::to_string(a.seq) + ", " + b.self.str() + " at " + std::to_string(b.seq) +
                  "): files of two directories were mixed; `mv " + directory_ + " " + directory_ +
                  ".mixed` and start the agent: it comes back as a new member in its old place");
    }
    last_ = b.seq > a.seq ? 1 : 0;
  } else {
    last_ = found[0].valid() ? 0 : 1;
    if (log_) log_(LogLevel::warning, path(1 - last_) + ": " + found[1 - last_].fault + "; restored from its mirror");
  }
  return found[last_].state;
}

// ---------------------------------------------------------------- opening

Result<void> Store::lock() {
  const std::string name = directory_ + "/lock";
  lock_ = File(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (lock_.fd() < 0) return fail(complaint("make", name, directory_));
  if (::flock(lock_.fd(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail(complaint("lock", name, directory_));
    const std::string holder = read_up_to(lock_.fd(), 20, 0).value_or("");
    return fail("the state directory " + directory_ + " is in use by another ringagent" +
                (holder.empty() ? "" : " (process " + holder + ")") + "; two agents must not share one");
  }
  const std::string pid = std::to_string(::getpid());
  if (::ftruncate(lock_.fd(), 0) != 0 || !write_all(lock_.fd(), pid)) return fail(complaint("write", name, directory_));
  return {};
}

// A whole new slot in place of whatever is there: written and synced under another name first.
Result<void> Store::make_slot(std::size_t index, const std::string& bytes, std::size_t capacity) {
  const std::string name = path(index) + ".new";
  File file(::open(name.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.fd() < 0) return fail(complaint("make", name, directory_));
  std::string full = bytes;
  full.resize(capacity, '\0');
  if (!write_all(file.fd(), full) || ::fsync(file.fd()) != 0) {
    auto error = fail(complaint("write", name, directory_));
    ::unlink(name.c_str());  // best effort: it is overwritten at the next start anyway
    return error;
  }
  if (::rename(name.c_str(), path(index).c_str()) != 0) return fail(complaint("rename", name, directory_));
  if (::fsync(directory_file_.fd()) != 0) return fail(complaint("sync", directory_, directory_));
  slots_[index] = Slot{std::move(file), capacity};
  return {};
}

Result<StoreOpened> Store::open(const std::string& directory, const NodeId& fresh, LogFunction log) {
  Store store;
  store.directory_ = directory;
  store.log_ = std::move(log);
  const auto fd = open_directory(directory);
  if (!fd) return tl::unexpected(fd.error());
  store.directory_file_ = File(*fd);
  if (auto locked = store.lock(); !locked) return tl::unexpected(locked.error());

  std::array<Found, 2> found = {read_slot(store.path(0)), read_slot(store.path(1))};
  auto state = store.choose(found, fresh);
  if (!state) return tl::unexpected(state.error());
  if (!state->chain.empty() && of_newer_version(state->chain.back()))
    return fail(directory + ": a newer version of ringagent has written this state (" +
                parse_config(state->chain.back()).error().text +
                "): start that one, or take the change back on all nodes before this node is downgraded");

  // Both slots anew, the stale one first: at every moment one of them holds, synced, the last state that was
  // answered upon. (The winner may be a write that was never synced; its copy is, before it replaces the
  // stale slot.) This also gives both of them room to grow.
  const std::string bytes = slot_bytes(*state);
  const std::size_t capacity = capacity_for(2 * bytes.size());
  for (const std::size_t index : {1 - store.last_, store.last_}) {
    if (auto made = store.make_slot(index, bytes, capacity); !made) return tl::unexpected(made.error());
  }
  store.self_ = state->self;
  store.seq_ = state->seq;
  const bool created = state->seq == kFirstSeq;
  return StoreOpened{std::move(store), std::move(*state), created};
}

// ---------------------------------------------------------------- writing

void Store::persist(const DurableState& state) {
  if (state.seq <= seq_ || state.self != self_) std::abort();
  const std::size_t index = 1 - last_;
  Slot& slot = slots_[index];
  std::string bytes = slot_bytes(state);
  if (bytes.size() > slot.capacity) {
    slot.capacity = capacity_for(2 * bytes.size());
    bytes.resize(slot.capacity, '\0');
  }
  if (!write_all(slot.file.fd(), bytes) || ::fdatasync(slot.file.fd()) != 0) {
    const std::string text = complaint("write", path(index), directory_);
    if (log_) log_(LogLevel::error, text + "; stopping, for nothing may be said that is not durable");
    std::abort();
  }
  last_ = index;
  seq_ = state.seq;
}

}  // namespace ringagent
