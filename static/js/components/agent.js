/** What a browser calls itself (`User-Agent`), in words for people. */

import { t } from "../i18n.js";

/** In this order: many call themselves by another's name, too. @type {[RegExp, string][]} */
const BROWSERS = [
  [/Edg(e|A|iOS)?\//, "Edge"],
  [/OPR\/|Opera/, "Opera"],
  [/SamsungBrowser\//, "Samsung Internet"],
  [/MicroMessenger\//, "WeChat"],
  [/Vivaldi\//, "Vivaldi"],
  [/Firefox\/|FxiOS\//, "Firefox"],
  [/HeadlessChrome\/|Chromium\//, "Chromium"],
  [/Chrome\/|CriOS\//, "Chrome"],
  [/Version\/[\d.]+.*(Safari|Mobile)/, "Safari"],
  [/curl\//, "curl"],
  [/python-httpx\//, "Python"],
];
/** @type {[RegExp, string, "phone" | "desk"][]} */
const SYSTEMS = [
  [/iPhone|iPod/, "iPhone", "phone"],
  [/iPad/, "iPad", "phone"],
  [/HarmonyOS/, "HarmonyOS", "phone"],
  [/Android/, "Android", "phone"],
  [/Windows/, "Windows", "desk"],
  [/CrOS/, "ChromeOS", "desk"],
  [/Macintosh|Mac OS X/, "macOS", "desk"],
  [/Linux|X11/, "Linux", "desk"],
];

/**
 * @param {string} agent
 * @returns {{name: string, icon: "phone" | "desk" | "terminal"}} its name, and what it looks like
 */
export function describeAgent(agent) {
  const browser = BROWSERS.find(([pattern]) => pattern.test(agent))?.[1];
  const system = SYSTEMS.find(([pattern]) => pattern.test(agent));
  const icon = system?.[2] ?? "terminal";
  if (browser && system) return { name: t("account.agent", { browser, system: system[1] }), icon };
  return { name: browser ?? system?.[1] ?? (agent || t("account.unknownAgent")), icon };
}
