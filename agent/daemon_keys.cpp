#include "agent/daemon_keys.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace ringagent {
namespace {

constexpr const char* kName = "/gossip.keys";
constexpr std::size_t kBytesMax = 64 * 1024;

class File {
 public:
  File(const std::string& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

Error trouble(const char* verb, const std::string& path) {
  return Error{std::string("cannot ") + verb + " " + path + ": " + std::strerror(errno)};
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno != EINTR) return false;
    if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace

Result<KeyBook> read_key_book(const std::string& state_dir) {
  const std::string path = state_dir + kName;
  const File file(path, O_RDONLY);
  if (file.fd() < 0 && errno == ENOENT) return KeyBook{};
  if (file.fd() < 0) return tl::unexpected(trouble("read", path));
  struct stat info {};
  if (::fstat(file.fd(), &info) != 0) return tl::unexpected(trouble("look at", path));
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) return fail(path + " can be read by others; chmod 600 " + path);
  std::string text(kBytesMax, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t n = ::read(file.fd(), text.data() + size, text.size() - size);
    if (n < 0 && errno != EINTR) return tl::unexpected(trouble("read", path));
    if (n == 0) break;
    if (n > 0) size += static_cast<std::size_t>(n);
  }
  text.resize(size);
  auto book = parse_key_book(text);
  if (book) return book;
  return fail(
      path + ": " + book.error().text +
      "; put the key that `ringagent key list` on another node shows as in use into key_file, and remove this file");
}

Result<void> write_key_book(const std::string& state_dir, const KeyBook& book) {
  const std::string path = state_dir + kName;
  const std::string fresh = path + ".new";
  if (::unlink(fresh.c_str()) != 0 && errno != ENOENT) return tl::unexpected(trouble("remove", fresh));
  {
    const File file(fresh, O_WRONLY | O_CREAT | O_EXCL);
    if (file.fd() < 0 || !write_all(file.fd(), key_book_text(book)) || ::fsync(file.fd()) != 0)
      return tl::unexpected(trouble("write", fresh));
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) return tl::unexpected(trouble("replace", path));
  const File directory(state_dir, O_RDONLY | O_DIRECTORY);
  if (directory.fd() < 0 || ::fsync(directory.fd()) != 0) return tl::unexpected(trouble("sync", state_dir));
  return {};
}

}  // namespace ringagent
