// Files that were dropped or chosen, folders searched.

/** Files of a drop event with their paths inside the dropped folders: [{file, name}]. */
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return chosen(transfer.files);
  return (await Promise.all(entries.map((entry) => within(entry)))).flat();
}

export function chosen(files) {
  return [...files]
    .map((file) => ({ file, name: file.webkitRelativePath || file.name }))
    .filter(isWanted)
    .sort(byName);
}

async function within(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ file, name: entry.fullPath.replace(/^\//, "") }].filter(isWanted);
  }
  const reader = entry.createReader();
  const children = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) break;
    children.push(...some);
  }
  return (await Promise.all(children.map((child) => within(child)))).flat().sort(byName);
}

const byName = (a, b) => a.name.localeCompare(b.name, "en", { numeric: true });

/** Not what systems put into folders of their own accord. */
const isWanted = ({ name }) =>
  !name.split("/").some((part) => part.startsWith(".") || part === "Thumbs.db" || part === "DICOMDIR");

/** What the images of one patient have in common: the pseudonym from DICOM, or else the beginning of the file's name. */
export function groupOf(row, grouping) {
  const path = row.name.split("/");
  const file = path.pop();
  if (grouping === "none") return "";
  if (grouping === "folder") return path.join("/");
  if (row.patient) return `patient ${row.patient.slice(0, 6)}`;
  const [start] = file.replace(/\.[^.]*$/, "").split(/[_\-. #]/);
  return /\d/.test(start) ? [...path, start].join("/") : "";
}
