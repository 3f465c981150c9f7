import { coreFail } from "./errors.ts";

declare const offered: unique symbol;

/** Names what a part offers. It lies, with its interface, in a package that both sides import. */
export interface ServiceKey<Service> {
  readonly name: string;
  readonly [offered]?: Service;
}

export function serviceKey<Service>(name: string): ServiceKey<Service> {
  return { name };
}

/**
 * What the parts of a node offer each other without knowing who does. A part provides in `create` and looks in
 * `start` or later: by then every part has been made.
 */
export interface Services {
  /** @throws X0_CORE_SERVICE_TAKEN */
  provide<Service>(key: ServiceKey<Service>, service: Service): void;
  /** Undefined where no part of this node offers it. */
  find<Service>(key: ServiceKey<Service>): Service | undefined;
}

export function createServices(): Services {
  const services = new Map<string, unknown>();
  return {
    provide({ name }, service) {
      if (services.has(name))
        throw coreFail("X0_CORE_SERVICE_TAKEN", `two parts provide the service ${name}`);
      services.set(name, service);
    },
    find: <Service>({ name }: ServiceKey<Service>) => services.get(name) as Service | undefined,
  };
}
