#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ostream>

#include "agent/child.h"
#include "agent/copy_parts.h"

// A copy by the dump program of the flavour, played into the own server as it comes; see mysql/copy.h for what has to
// fit together.
namespace ringagent::copying {
namespace {

constexpr unsigned kNoSuchThread = 1094;  // it has ended by itself
constexpr std::size_t kPieceBytes = 256 * std::size_t{1024};
constexpr int kTickMs = 500;
constexpr int kAttempts = 3;

using Accounts = std::vector<Rows>;  // in the order of account_tables()

bool equal(const Accounts& a, const Accounts& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].columns != b[i].columns || a[i].rows != b[i].rows) return false;
  }
  return true;
}

CopyAccount copy_account(const ConnectSettings& settings) {
  return {settings.socket, settings.address, settings.user, settings.password, settings.tls, settings.ca_file};
}

// The two programs, and what goes from one to the other.
class Stream {
 public:
  Stream(Child dump, Child import, Pipe& from, Pipe& to, const Interrupt& interrupt)
      : dump_(std::move(dump)), import_(std::move(import)), from_(from), to_(to), interrupt_(interrupt) {
    ::fcntl(to_.write_end(), F_SETFL, O_NONBLOCK);
  }

  // Waits for a piece, at most a tick. Empty: nothing yet, or, with `ended`, the dump's end.
  Result<std::string_view> piece() {
    if (!ready(from_.read_end(), POLLIN)) {
      if (interrupt_.raised()) return fail(kInterrupted);
      return std::string_view();
    }
    const auto got = ::read(from_.read_end(), buffer_.data(), buffer_.size());
    if (got < 0 && errno != EINTR) return fail(std::string("the dump cannot be read: ") + std::strerror(errno));
    ended_ = got == 0;
    return std::string_view(buffer_.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  }
  bool ended() const { return ended_; }

  Result<void> play(std::string_view text) {
    while (!text.empty()) {
      if (!ready(to_.write_end(), POLLOUT)) {
        if (interrupt_.raised()) return fail(kInterrupted);
        continue;
      }
      const auto put = ::write(to_.write_end(), text.data(), text.size());
      if (put > 0) text.remove_prefix(static_cast<std::size_t>(put));
      if (put < 0 && errno != EINTR && errno != EAGAIN) return finish();  // the import has ended: it says why
    }
    return {};
  }

  // Both have to end well.
  Result<void> finish() {
    to_.close_write();
    const int import = import_.wait();
    if (import != 0) return fail("the own server did not take the dump: " + said(import_, import));
    from_.close_read();
    const int dump = dump_.wait();
    if (dump != 0) return fail("the donor was not dumped: " + said(dump_, dump));
    return {};
  }

 private:
  static std::string said(const Child& child, int code) {
    const std::string text = child.said();
    return text.empty() ? "exit status " + std::to_string(code) : text;
  }

  bool ready(int fd, short what) const {
    pollfd both[2] = {{fd, what, 0}, {interrupt_.fd(), POLLIN, 0}};
    return ::poll(both, 2, kTickMs) > 0 && both[1].revents == 0 && both[0].revents != 0;
  }

  Child dump_;
  Child import_;
  Pipe& from_;
  Pipe& to_;
  const Interrupt& interrupt_;
  std::string buffer_ = std::string(kPieceBytes, '\0');
  bool ended_ = false;
};

class DumpCopy {
 public:
  DumpCopy(const CopyJob& job, CopyTarget& local, Client donor, const CopyScreen& screen, const Interrupt& interrupt)
      : job_(job), local_(local), donor_(std::move(donor)), screen_(screen), interrupt_(interrupt) {
    kept_ = {
        {"root", ""}, {"mysql", ""}, {"mariadb.sys", ""}, {job.accounts.user, ""}, {job.accounts.replication_user, ""}};
    const auto at = local.account.rfind('@');
    if (at != std::string::npos) kept_.push_back({local.account.substr(0, at), local.account.substr(at + 1)});
  }

  Result<void> run() {
    if (auto fit = prepare(); !fit) return fit;
    for (int attempt = 1;; ++attempt) {
      if (auto empty = make_room(); !empty) return empty;
      auto done = play();
      if (!done) return tl::unexpected(done.error());
      if (*done) break;
      if (attempt == kAttempts)
        return fail("the accounts of " + job_.donor_name + " are being changed all the time; try again later");
      screen_.out << "accounts were changed on " << job_.donor_name << " at the moment of the snapshot: once more\n";
    }
    return mariadb() ? settle_mariadb() : settle_mysql();
  }

 private:
  bool mariadb() const { return local_.version.flavor == Flavor::mariadb; }

  Result<void> prepare() {
    donor_version_ = parse_version(donor_.server_version());
    if (donor_version_.flavor != local_.version.flavor)
      return fail(job_.donor_name + " is " + donor_version_.text + " and this server is " + local_.version.text +
                  ": a ring has one flavour");
    if (auto may = check_privileges(donor_, job_, donor_version_, CopyMethod::dump); !may) return may;
    auto schemas = schemas_of(donor_);
    if (!schemas) return tl::unexpected(schemas.error());
    donor_schemas_ = std::move(*schemas);
    auto options = dump_options(donor_version_, donor_schemas_.all);
    if (!options) return tl::unexpected(options.error());
    options_ = std::move(*options);
    dump_program_ = find_program(dump_programs(local_.version));
    client_program_ = find_program(client_programs(local_.version));
    if (dump_program_.empty() || client_program_.empty())
      return fail(std::string("a dump needs the programs ") + dump_programs(local_.version).front() + " and " +
                  client_programs(local_.version).front() + " in PATH: install the server's client package here");
    return {};
  }

  // From here on there is no former data.
  Result<void> make_room() {
    if (auto marked = write_mark(local_, job_, CopyMethod::dump, CopyState::begun); !marked) return marked;
    if (!mariadb()) {
      // The dump brings the mysql schema and GTID_PURGED: as an administrator, who is under super_read_only, too.
      if (auto lifted = run_all(local_.client, {"SET GLOBAL super_read_only = 0"}, kQuick); !lifted) return lifted;
      if (auto forgot = run_all(local_.client, forget_transactions(local_.version), kLong); !forgot) return forgot;
    }
    const auto there = schemas_of(local_.client);
    if (!there) return tl::unexpected(there.error());
    return run_all(local_.client, drop_schemas(there->all), kLong);
  }

  Result<Accounts> donor_accounts() {
    Accounts out;
    for (const auto& table : account_tables()) {
      auto rows = question(donor_, account_query(table, kept_), job_.donor_name);
      if (!rows) return tl::unexpected(rows.error());
      out.push_back(std::move(*rows));
    }
    return out;
  }

  // False: the accounts were changed while the snapshot was taken.
  Result<bool> play() {
    if (mariadb()) {
      auto accounts = donor_accounts();
      if (!accounts) return tl::unexpected(accounts.error());
      accounts_ = std::move(*accounts);
      const auto state = question(donor_, "SELECT @@global.gtid_binlog_state AS state", job_.donor_name);
      if (!state) return tl::unexpected(state.error());
      state_before_ = state->text(0, {"state"});
    }
    auto events = question(donor_, events_query(), job_.donor_name);
    if (!events) return tl::unexpected(events.error());
    events_ = std::move(*events);
    Pipe from;
    Pipe to;
    auto dump = Child::start(
        {dump_program_, options_file(donor_version_, copy_account(job_.donor)), options_, -1, from.write_end()});
    if (!dump) return tl::unexpected(dump.error());
    auto import = Child::start({client_program_,
                                options_file(local_.version, copy_account(job_.local)),
                                {"--batch", "--max-allowed-packet=1G", "--default-character-set=utf8mb4"},
                                to.read_end(),
                                -1});
    if (!import) return tl::unexpected(import.error());
    from.close_write();
    to.close_read();
    Stream stream(std::move(*dump), std::move(*import), from, to, interrupt_);
    return pump(stream);
  }

  Result<bool> pump(Stream& stream) {
    DumpReader reader;
    Progress progress("copying from " + job_.donor_name, screen_.terminal, screen_.width, now());
    if (auto begun = stream.play(import_preamble()); !begun) return tl::unexpected(begun.error());
    bool compared = !mariadb();
    for (std::uint64_t done = 0; !stream.ended();) {
      const auto piece = stream.piece();
      if (!piece) return tl::unexpected(piece.error());
      reader.feed(*piece);
      if (!compared && reader.snapshot_taken()) {
        compared = true;
        const auto after = donor_accounts();
        if (!after) return tl::unexpected(after.error());
        if (!equal(accounts_, *after)) return false;
      }
      if (auto played = stream.play(*piece); !played) return tl::unexpected(played.error());
      done += piece->size();
      screen_.out << progress.update(done, donor_schemas_.bytes, now()) << std::flush;
    }
    screen_.out << progress.leave() << std::flush;
    if (auto finished = stream.finish(); !finished) return tl::unexpected(finished.error());
    if (!reader.complete()) return fail("the dump of " + job_.donor_name + " ended before its last line");
    position_ = reader.position();
    screen_.out << progress.end(now());
    return true;
  }

  std::uint64_t own_highest() const {
    std::uint64_t out = 0;
    for (const auto& text : job_.positions) {
      const auto set = GtidSet::parse(Flavor::mariadb, text);
      if (!set) continue;  // a member of whom nothing is known yet
      for (const auto& [stream, intervals] : set->streams()) {
        if (stream.domain == local_.domain_id && stream.server == local_.server_id)
          out = std::max(out, intervals.back().last);
      }
    }
    return out;
  }

  // Whoever reads this server's binary log still (a replica that has been cut off from the agents) reads one that is thrown
  // away: it has to come again, and to ask by what it has.
  Result<void> end_readers() {
    const auto readers =
        question(local_.client, "SELECT ID AS id FROM information_schema.PROCESSLIST WHERE COMMAND = 'Binlog Dump'",
                 "the server");
    if (!readers) return tl::unexpected(readers.error());
    for (std::size_t i = 0; i < readers->rows.size(); ++i) {
      const auto done = local_.client.query("KILL " + readers->text(i, {"id"}), kQuick);
      if (!done && done.error().number != kNoSuchThread)
        return fail("the server refused to end a reader of its binary log: " + done.error().text);
    }
    return {};
  }

  Result<void> settle_mariadb() {
    std::vector<std::string> statements;
    for (std::size_t i = 0; i < accounts_.size(); ++i) {
      statements.push_back(account_delete(account_tables()[i], kept_));
      for (auto& sql : account_inserts(account_tables()[i], accounts_[i])) statements.push_back(std::move(sql));
    }
    statements.emplace_back("FLUSH NO_WRITE_TO_BINLOG PRIVILEGES");
    if (auto done = run_all(local_.client, statements, kLong, "the donor's accounts"); !done) return done;
    if (auto done = settle_events(local_, events_, kept_events(job_.state_dir), screen_.out); !done) return done;
    const auto seed = gtid_seed(position_, state_before_, local_.domain_id, local_.server_id, own_highest());
    if (!seed) return tl::unexpected(seed.error());
    if (auto done = end_readers(); !done) return done;
    if (auto done = run_all(local_.client, adopt_position(*seed), kLong); !done) return done;
    return write_mark(local_, job_, CopyMethod::dump, CopyState::complete);
  }

  Result<void> settle_mysql() {
    if (auto done = run_all(local_.client, {"FLUSH NO_WRITE_TO_BINLOG PRIVILEGES"}, kLong); !done) return done;
    if (auto done = settle_agent_account(local_, job_); !done) return done;
    if (auto done = settle_events(local_, events_, kept_events(job_.state_dir), screen_.out); !done) return done;
    if (auto done = run_all(local_.client, forget_link(local_.version), kLong); !done) return done;
    if (auto done = run_all(local_.client, {"SET GLOBAL super_read_only = 1"}, kQuick); !done) return done;
    return write_mark(local_, job_, CopyMethod::dump, CopyState::complete);
  }

  const CopyJob& job_;
  CopyTarget& local_;
  Client donor_;
  const CopyScreen& screen_;
  const Interrupt& interrupt_;
  Version donor_version_;
  Schemas donor_schemas_;
  std::vector<KeptAccount> kept_;
  std::vector<std::string> options_;
  std::string dump_program_;
  std::string client_program_;
  Accounts accounts_;
  std::string state_before_;
  std::string position_;
  Rows events_;
};

}  // namespace

Result<void> copy_by_dump(const CopyJob& job, CopyTarget& local, const CopyScreen& screen, const Interrupt& interrupt) {
  auto donor = connect_donor(job, interrupt);
  if (!donor) return tl::unexpected(donor.error());
  return DumpCopy(job, local, std::move(*donor), screen, interrupt).run();
}

}  // namespace ringagent::copying
