// Times and figures as people read them, as the server writes them in `pages/words.py`.

/** A length of time in seconds, in the two units that say enough of it. */
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const [days, hours, minutes] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60];
  if (days) return hours ? `${days} d ${hours} h` : `${days} d`;
  if (hours) return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
  return minutes ? `${minutes} min` : `${whole} s`;
}

/** Something per second. */
export function rate(perSecond) {
  return perSecond.toFixed(perSecond >= 100 ? 0 : 1);
}

/** A share in percent. */
export function share(part) {
  if (part === null) return "–";
  return `${(part * 100).toFixed(part === 0 || part >= 0.1 ? 0 : 1)} %`;
}

/** A short time. */
export function millis(timeMs) {
  if (timeMs === null) return "–";
  return timeMs >= 1000 ? `${(timeMs / 1000).toFixed(1)} s` : `${timeMs.toFixed(0)} ms`;
}
