#include <doctest/doctest.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>

#include "gossip/store.h"
#include "gossip_filler.h"
#include "temp_dir.h"

using namespace ringagent;
namespace fs = std::filesystem;

namespace {

class Directory {
 public:
  std::string state() const { return temp_ / "state"; }
  std::string slot(int n) const { return state() + "/state." + std::to_string(n); }
  std::string root() const { return temp_.str(); }

 private:
  TempDir temp_;
};

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void put(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

const NodeId kFresh = test::filled<NodeId>(99);

Result<StoreOpened> open(const Directory& d, std::vector<std::string>* log = nullptr) {
  return Store::open(d.state(), kFresh, [log](LogLevel, const std::string& line) {
    if (log != nullptr) log->push_back(line);
  });
}
StoreOpened opened(const Directory& d, std::vector<std::string>* log = nullptr) {
  auto result = open(d, log);
  REQUIRE_MESSAGE(result.has_value(), result.error().text);
  return std::move(*result);
}
std::string fault(const Directory& d) {
  const auto result = open(d);
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().text.find('\n') == std::string::npos);  // one clear line
  return result.error().text;
}

DurableState next(const DurableState& before, std::uint64_t seed) {
  auto state = test::filled<DurableState>(seed);
  state.self = before.self;
  state.seq = before.seq + 1;
  return state;
}

// A directory that has seen some life: state `a` in one slot and the later `b` in the other.
struct Life {
  DurableState a, b;
  std::string slot_a, slot_b;
  int index_a = 0, index_b = 0;
};
Life live(const Directory& d) {
  Life life;
  {
    StoreOpened store = opened(d);
    life.a = next(store.state, 1);
    store.store.persist(life.a);
    life.b = next(life.a, 2);
    store.store.persist(life.b);
  }
  // The first write after the start went into the slot that did not hold the winner.
  life.index_a = 1;
  life.index_b = 0;
  life.slot_a = contents(d.slot(life.index_a));
  life.slot_b = contents(d.slot(life.index_b));
  return life;
}

// Runs `body` in a child and returns how that ended; `body` returns the exit code.
int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    for (const int number : {SIGABRT, SIGXFSZ}) std::signal(number, number == SIGABRT ? SIG_DFL : SIG_IGN);
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::_exit(body());
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}
bool aborted(int status) {
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

}  // namespace

TEST_CASE("store: a new node gets the id it was given, once") {
  Directory d;
  {
    const StoreOpened store = opened(d);
    CHECK(store.created);
    CHECK(store.state.self == kFresh);
    CHECK(store.state.seq == 1);
    CHECK(store.state.boot == 0);
  }
  auto again = Store::open(d.state(), test::filled<NodeId>(100), nullptr);
  REQUIRE(again.has_value());
  CHECK(again->state.self == kFresh);
}

TEST_CASE("store: what was persisted is there after the next start, whichever slot it went to") {
  Directory d;
  DurableState last;
  for (std::uint64_t life = 1; life <= 5; ++life) {
    StoreOpened store = opened(d);
    CHECK(store.created == (life == 1));
    if (life > 1) CHECK(store.state == last);
    last = store.state;
    for (std::uint64_t i = 0; i < life; ++i) {
      last = next(last, 10 * life + i);
      store.store.persist(last);
    }
  }
  CHECK(opened(d).state == last);
}

TEST_CASE("store: the directory and its files are the agent's alone, and whole from the start") {
  Directory d;
  const ::mode_t before = ::umask(0);
  opened(d);
  ::umask(before);
  const auto mode = [](const std::string& path) {
    struct stat info {};
    REQUIRE(::stat(path.c_str(), &info) == 0);
    return info;
  };
  CHECK((mode(d.state()).st_mode & 0777U) == 0700);
  for (int n = 0; n < 2; ++n) {
    CHECK((mode(d.slot(n)).st_mode & 0777U) == 0600);
    CHECK(mode(d.slot(n)).st_size == kSlotBytesMin);
    CHECK(mode(d.slot(n)).st_blocks * 512 >= static_cast<long>(kSlotBytesMin));  // no holes
    CHECK_FALSE(fs::exists(d.slot(n) + ".new"));
  }
  CHECK((mode(d.state() + "/lock").st_mode & 0777U) == 0600);
}

TEST_CASE("store: a write alternates between the slots and leaves the other one alone") {
  Directory d;
  StoreOpened store = opened(d);
  DurableState state = store.state;
  for (std::uint64_t i = 0; i < 6; ++i) {
    const std::string before[2] = {contents(d.slot(0)), contents(d.slot(1))};
    state = next(state, i + 1);
    store.store.persist(state);
    const bool changed[2] = {contents(d.slot(0)) != before[0], contents(d.slot(1)) != before[1]};
    CHECK(changed[0] != changed[1]);
    CHECK(changed[i % 2 == 0 ? 1 : 0]);
  }
}

TEST_CASE("store: whichever way the last write was torn, the state before it stands") {
  Directory d;
  const Life life = live(d);
  const std::size_t used = kSlotHeaderBytes + encode(life.b).size();
  // The slot held something older before; the new bytes arrived up to `cut`, or from `cut` on.
  const std::string older(life.slot_b.size(), '\x5A');
  for (std::size_t cut = 0; cut < used; cut += 64) {
    CAPTURE(cut);
    for (const bool front : {true, false}) {
      if (!front && cut == 0) continue;  // all of it arrived
      const std::string torn =
          front ? life.slot_b.substr(0, cut) + older.substr(cut) : older.substr(0, cut) + life.slot_b.substr(cut);
      put(d.slot(life.index_b), torn);
      put(d.slot(life.index_a), life.slot_a);
      std::vector<std::string> log;
      CHECK(opened(d, &log).state == life.a);
      REQUIRE(log.size() == 1);
      CHECK(log[0].find("restored from its mirror") != std::string::npos);
      // And the mirror is whole again before anything is said.
      CHECK(contents(d.slot(life.index_b)) == contents(d.slot(life.index_a)));
    }
  }
}

TEST_CASE("store: what a newer version has written is refused, and left as it is") {
  const Directory d;
  {
    auto store = opened(d);
    DurableState state = next(store.state, 5);
    state.chain.back().front() = 99;
    store.store.persist(state);
  }
  const std::string before = contents(d.slot(0)) + contents(d.slot(1));
  CHECK(fault(d).find("a newer version of ringagent has written this state (a ring config of format 99") !=
        std::string::npos);
  CHECK(contents(d.slot(0)) + contents(d.slot(1)) == before);
}

TEST_CASE("store: the higher sequence wins, and the other slot becomes its copy") {
  Directory d;
  const Life life = live(d);
  {
    const StoreOpened store = opened(d);
    CHECK(store.state == life.b);
    CHECK(contents(d.slot(0)) == contents(d.slot(1)));
    CHECK(contents(d.slot(0)) == life.slot_b);
  }
  put(d.slot(life.index_a), life.slot_b);  // the places do not matter
  put(d.slot(life.index_b), life.slot_a);
  CHECK(opened(d).state == life.b);
}

TEST_CASE("store: one slot that is lost, empty or something else entirely is made anew") {
  for (const std::string& instead : {std::string("-"), std::string(), std::string("short"), std::string(300, 'x'),
                                     std::string(kSlotBytesMin, '\0')}) {
    for (const int victim : {0, 1}) {
      Directory d;
      const Life life = live(d);
      instead == "-" ? static_cast<void>(fs::remove(d.slot(victim))) : put(d.slot(victim), instead);
      CHECK(opened(d).state == (victim == life.index_b ? life.a : life.b));
      CHECK(contents(d.slot(0)) == contents(d.slot(1)));
    }
  }
}

TEST_CASE("store: a length that is only damage costs no memory") {
  const Directory d;
  const Life life = live(d);
  std::string damaged = life.slot_a;
  damaged[60] = '\x09';  // 150 MB, which a state may have
  put(d.slot(life.index_a), damaged);
  const auto peak_kb = [] {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    return used.ru_maxrss;
  };
  CHECK(in_child([&] {
          const auto before = peak_kb();
          return open(d).has_value() && peak_kb() - before < 64 * 1024 ? 0 : 1;
        }) == 0);
  put(d.slot(life.index_a), damaged);
  std::vector<std::string> log;
  CHECK(opened(d, &log).state == life.b);
  REQUIRE(log.size() == 1);
  CHECK(log[0].find("cut short; restored from its mirror") != std::string::npos);
}

TEST_CASE("store: with both slots damaged the node refuses and says what to do") {
  Directory d;
  const Life life = live(d);
  std::string wrong_magic = life.slot_a;
  wrong_magic[32] = 'X';
  std::string flipped = life.slot_b;
  flipped[kSlotHeaderBytes + 3] = static_cast<char>(flipped[kSlotHeaderBytes + 3] ^ 1);
  put(d.slot(life.index_a), wrong_magic);
  put(d.slot(life.index_b), flipped);
  const std::string text = fault(d);
  CHECK(text.find("state.1: not a state file") != std::string::npos);
  CHECK(text.find("state.0: its checksum does not match") != std::string::npos);
  CHECK(text.find("mv " + d.state()) != std::string::npos);
  // Nothing was touched: what is left may still help somebody.
  CHECK(contents(d.slot(life.index_a)) == wrong_magic);
  CHECK(contents(d.slot(life.index_b)) == flipped);
  // One lost and one damaged is no new node either.
  fs::remove(d.slot(life.index_a));
  CHECK(fault(d).find("damaged") != std::string::npos);
}

TEST_CASE("store: a crash while a node is made leaves a new node or a whole one") {
  Directory d;
  { opened(d); }
  const std::string whole = contents(d.slot(0));
  // After the first file was written but not renamed.
  fs::remove(d.slot(0));
  fs::remove(d.slot(1));
  put(d.slot(1) + ".new", whole.substr(0, 1000));
  CHECK(opened(d).created);
  // After the first rename.
  fs::remove(d.slot(0));
  const StoreOpened store = opened(d);
  CHECK(store.created);
  CHECK(store.state.self == kFresh);
}

TEST_CASE("store: files of two directories are not mixed") {
  Directory d, other;
  live(d);
  {
    auto store = Store::open(other.state(), test::filled<NodeId>(55), nullptr);
    REQUIRE(store.has_value());
  }
  put(d.slot(0), contents(other.slot(0)));
  CHECK(fault(d).find("do not come from one node's life") != std::string::npos);
  // Nor two different states of one number, as two lives of one snapshot would leave.
  Directory e;
  DurableState base;
  {
    StoreOpened store = opened(e);
    base = store.state;
    store.store.persist(next(base, 1));
  }
  const std::string one = contents(e.slot(1));
  fs::remove_all(e.state());
  {
    StoreOpened store = opened(e);
    store.store.persist(next(base, 2));
  }
  put(e.slot(0), one);
  CHECK(fault(e).find("were mixed") != std::string::npos);
}

TEST_CASE("store: a state of a newer version is not damage, and is left alone") {
  Directory d;
  const Life life = live(d);
  std::string newer = life.slot_b;
  newer[43] = 2;  // the format
  const std::size_t used = kSlotHeaderBytes + encode(life.b).size();
  const Hash checksum = hash_bytes(std::string_view(newer).substr(32, used - 32));
  std::copy(checksum.begin(), checksum.end(), newer.begin());
  put(d.slot(life.index_b), newer);
  CHECK(fault(d).find("newer ringagent") != std::string::npos);
  CHECK(contents(d.slot(life.index_b)) == newer);
}

TEST_CASE("store: two agents cannot share a directory") {
  Directory d;
  {
    const StoreOpened first = opened(d);
    const std::string text = fault(d);
    CHECK(text.find("in use by another ringagent (process " + std::to_string(::getpid()) + ")") != std::string::npos);
  }
  opened(d);  // and the lock goes with the agent
}

TEST_CASE("store: directories that cannot be used are named with the mend") {
  Directory d;
  const auto text = [](const std::string& path) {
    const auto result = Store::open(path, kFresh, nullptr);
    REQUIRE_FALSE(result.has_value());
    return result.error().text;
  };
  CHECK(text(d.root() + "/no/such").find("make the directory above it") != std::string::npos);
  put(d.root() + "/file", "x");
  CHECK(text(d.root() + "/file").find("Not a directory") != std::string::npos);
  REQUIRE(::mkdir(d.state().c_str(), 0700) == 0);
  REQUIRE(::chmod(d.state().c_str(), 0777) == 0);
  CHECK(text(d.state()).find("chmod 700 " + d.state()) != std::string::npos);
  REQUIRE(::chmod(d.state().c_str(), 0755) == 0);  // to be read by others is no danger
  CHECK(Store::open(d.state(), kFresh, nullptr).has_value());
}

TEST_CASE("store: a state that outgrows its slot gets a larger one") {
  Directory d;
  DurableState big;
  {
    StoreOpened store = opened(d);
    big = next(store.state, 1);
    big.chain.assign(kChainKept, std::string(10'000, '\1'));
    store.store.persist(big);
    CHECK(fs::file_size(d.slot(1)) > 1'280'000);
    CHECK(fs::file_size(d.slot(0)) == kSlotBytesMin);
    DurableState small = next(big, 2);
    store.store.persist(small);
    big.seq = small.seq + 1;
    store.store.persist(big);
  }
  CHECK(opened(d).state == big);
  CHECK(fs::file_size(d.slot(0)) == fs::file_size(d.slot(1)));
}

TEST_CASE("store: a sequence that does not rise, or another node's state, is a broken invariant") {
  Directory d;
  CHECK(aborted(in_child([&] {
    auto store = Store::open(d.state(), kFresh, nullptr);
    if (!store) return 1;
    DurableState same = store->state;
    store->store.persist(same);
    return 0;
  })));
  CHECK(aborted(in_child([&] {
    auto store = Store::open(d.state(), kFresh, nullptr);
    if (!store) return 1;
    DurableState other = next(store->state, 1);
    other.self = NodeId{};
    store->store.persist(other);
    return 0;
  })));
  CHECK(opened(d).state.seq == 1);
}

TEST_CASE("store: a write that fails stops the agent, and the state before it stands") {
  Directory d;
  const std::string log_file = d.root() + "/log";
  DurableState answered;
  {
    StoreOpened store = opened(d);
    answered = next(store.state, 1);
    store.store.persist(answered);
  }
  const int status = in_child([&] {
    auto store = Store::open(d.state(), kFresh, [&](LogLevel level, const std::string& line) {
      if (level == LogLevel::error) put(log_file, line);
    });
    if (!store) return 1;
    DurableState large = next(store->state, 2);
    large.chain.assign(kChainKept, std::string(10'000, 'c'));
    // From here on no file may grow beyond this: the kernel takes the front of the state and refuses the
    // rest.
    const rlimit limit{300 * 1024, 300 * 1024};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    store->store.persist(large);
    return 0;
  });
  CHECK(aborted(status));
  const std::string line = contents(log_file);
  CHECK(line.find("cannot write " + d.state() + "/state.") != std::string::npos);
  CHECK(line.find("stopping") != std::string::npos);
  CHECK(opened(d).state == answered);
}

TEST_CASE("store: no room for a new node is one clear line, and the next start is a new node still") {
  Directory d;
  const std::string line_file = d.root() + "/line";
  const int status = in_child([&] {
    const rlimit limit{100 * 1024, 100 * 1024};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const auto store = Store::open(d.state(), kFresh, nullptr);
    if (store) return 1;
    put(line_file, store.error().text);
    return 0;
  });
  CHECK(status == 0);
  const std::string line = contents(line_file);
  CHECK(line.find(d.state()) != std::string::npos);
  CHECK(line.find("make room there") != std::string::npos);
  CHECK(opened(d).created);
}

TEST_CASE("store: a disk that is full is named; one that fills up later does no harm") {
  Directory d;
  const std::string mount_point = d.root() + "/disk";
  REQUIRE(::mkdir(mount_point.c_str(), 0755) == 0);
  const std::string line_file = d.root() + "/line";
  // A mount namespace of the child's own: nothing is left behind, whatever happens.
  const int status = in_child([&] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", mount_point.c_str(), "tmpfs", 0, "size=300k") != 0) {
      return 77;  // not permitted here; the test above stands for it
    }
    const std::string state = mount_point + "/state";
    {
      const auto refused = Store::open(state, kFresh, nullptr);
      if (refused) return 1;
      put(line_file, refused.error().text);
    }
    if (::mount("tmpfs", mount_point.c_str(), "tmpfs", MS_REMOUNT, "size=2m") != 0) return 2;
    auto store = Store::open(state, kFresh, nullptr);
    if (!store || !store->created) return 3;
    {
      std::ofstream filler(mount_point + "/filler", std::ios::binary);
      while (filler.write(std::string(4096, 'x').data(), 4096) && filler.flush()) {
      }
    }
    struct statvfs left {};
    if (::statvfs(mount_point.c_str(), &left) != 0 || left.f_bavail != 0) return 4;
    DurableState last = store->state;
    for (std::uint64_t i = 1; i <= 20; ++i) {
      last = next(last, i);
      last.chain.assign(kChainKept, std::string(1000, 'c'));  // 128 KB
      store->store.persist(last);
    }
    return last.seq == 21 ? 0 : 5;
  });
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
    MESSAGE("no permission to mount a small disk");
    return;
  }
  CHECK(status == 0);
  CHECK(contents(line_file).find("No space left on device; the state directory " + mount_point +
                                 "/state needs 512 KB") != std::string::npos);
}
